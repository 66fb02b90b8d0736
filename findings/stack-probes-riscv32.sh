#!/bin/sh
# Software:   ziglang 0.17.1 (Clang 22), Python 3.11, Linux x86-64
# Guess:      Clang makes stack probes for RISC-V, so -fstack-clash-protection gives them to a freestanding riscv32 program too.
# Behaviour:  the driver drops the option for that target with the warning "argument unused during compilation", and the code has no probes. Handed to the compiler proper
#             (-Xclang -fstack-clash-protection) the same code generator makes them: one store for each page of a large frame.
# Seen:       driver option: 0 probes, 2 warnings; compiler option: 3 probes
# Here:       guests are compiled with -Xclang -fstack-clash-protection (zkvm/guest/library.py), and a test looks at frames above a page.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" && "$folder/venv/bin/python" -m pip install --quiet 'ziglang==0.17.1' || exit 2
cat > "$folder/frame.c" <<'SOURCE'
void use(char *);
void large_frame(void) {
    char buffer[16384];
    use(buffer);
}
SOURCE
compile() { # NAME OPTION...: assembly and messages of one compilation
    name=$1
    shift
    (cd "$folder" && "$folder/venv/bin/python" -m ziglang cc --target=riscv32-freestanding-none -mcpu=generic_rv32+m -O2 -S \
        -fno-sanitize=all "$@" frame.c -o "$name.s" 2> "$name.txt")
}
compile driver -fstack-clash-protection
compile compiler -Xclang -fstack-clash-protection
probes() { grep -cE 'sw[[:space:]]+zero, *0\(sp\)' "$folder/$1.s" || true; }
driver=$(probes driver)
compiler=$(probes compiler)
warned=$(grep -c 'argument unused during compilation' "$folder/driver.txt" || true)
echo "driver option: $driver probes, $warned warnings; compiler option: $compiler probes"
[ "$driver" -eq 0 ] && [ "$warned" -ge 1 ] && [ "$compiler" -ge 1 ]
