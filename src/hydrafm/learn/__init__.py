"""Networks that find atoms in AFM image stacks: training, fine-tuning and their accuracy."""
