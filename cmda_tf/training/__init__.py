"""The phases: supervised, adversarial, AdaBN; runs, loops and weights."""
