"""Guest SDK: C header, start-up code, linker script and the compiler driver."""
