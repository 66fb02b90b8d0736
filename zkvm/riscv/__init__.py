"""An RV32IM machine: what its instructions do, how a program runs, which tables prove that it ran. Knows no proof."""
