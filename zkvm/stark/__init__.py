"""A proof system: statements about tables joined by buses, proven with FRI over Goldilocks. Knows no RISC-V."""
