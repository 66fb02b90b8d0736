"""The words of ``docs/tour.md``; ``tools/tour.py`` puts the numbers in."""

TEMPLATE = """\
<!-- Made by tools/tour.py from a real run: change the words in tools/tour_text.py. -->

# A tour: one run, every stage

This page follows one run of the smallest guest from its source to the verdict. All numbers and bytes are those of a real proof, made with the parameter set
`balanced` at 128 bits and zero knowledge on. The blinding comes from a fixed seed, so that you can make the page yourself (`python tools/tour.py`); a prover never does that.

![The stages](pictures/pipeline.svg)

## 1. The source

`guest_programs/hello/main.c`:

```c
{source}
```

## 2. The program

`zkvm build` compiles it to an ELF file of {elf_bytes} bytes for a RISC-V processor without operating system. What is loaded of it:

{segments}

The machine decodes it once, before any run: {instructions} instructions, with registers as memory addresses and all decoding done. They become the rows of the table `program`,
the initial memory those of `ram_image`, constants those of `rom`. These *preprocessed* tables have heights {heights}. Their Merkle roots, the entry {entry} and the stack pointer are
the image header, and its hash is the **image ID**, which is all that a verifier has to know of the program:

```
{image_id}
```

## 3. The run

The interpreter executes {cycles} instructions and notes each with the values that it reads and writes, and when each was accessed before. Times grow by 4, so that an
instruction's own accesses have an order.

{steps}

The first two calls write a line to descriptor 1, the host's standard output, which is not proven. The third writes the journal, `{journal_hex}` in hexadecimal digits, to descriptor 3. The last ends the run.

## 4. The tables

Each kind of instruction has a *chip*: a table with columns and equations between them. An instruction becomes one row of its chip's table.

{tables}

Heights are powers of two. The last {exempt} rows of each table are free of equations and filled with random numbers: what a verifier later sees of a column is masked by them.
That is why a table for a handful of instructions has 512 rows. `range` holds the numbers that columns may be, such as all of 16 bits, several in a row, which makes it the tallest here.

The first row of `{followed}`, as the prover filled it (numbers just below the field's size p are shown as negative ones):

{cells}

Its equations are on the [page of all chips](air.md#{followed}). None of them speaks of another row: rows are joined by buses alone.

## 5. The buses

A bus is a bag of tuples. Rows put tuples in (`+`) and take tuples out (`-`), and at the end every bag must be empty. The same row:

{tuples}

![All buses and the chips on them](pictures/buses.svg)

- **state** passes (pc, time) from one instruction to the next: the row takes the state that the instruction before left, and leaves its own. So the rows of all tables together are one path from the
  entry to the exit, whatever their order.
- **memory** does the same for each address: a read takes (address, value, time of the last access) out, and puts it back with its own time.
- **program** and **range** are lookups: the tables of these names hold each tuple as often as it was asked for.
- What the verifier puts in itself: the first state, the last one, and the journal's bytes. So neither can be other than it thinks.

## 6. Commit to the columns

All {main_columns} main columns are polynomials of degree below their table's height. The prover evaluates each at {blowup} times as many points, hashes the points of one position together, and builds a Merkle
tree over the {points:,} positions of the tallest table. Its root is the first message:

```
main root      {main_root}
```

A hash of everything so far answers, in place of a verifier who throws dice: two elements of the cubic extension field K.

```
alpha          {alpha}
beta           {beta}
```

## 7. Commit to the buses

With alpha and beta a tuple becomes one number, its fingerprint `alpha - (bus + beta x1 + beta^2 x2 + ...)`. Running products and running sums of fingerprints stand in new columns. Their last values,
{terminals} terminals, are published: over all tables they must multiply to 1, or add to 0, with the verifier's own tuples.

```
bus root       {bus_root}
challenge      {constraint_challenge}
```

## 8. The quotient

Every equation must be zero on every active row, so it is divisible by a known polynomial. All equations, with powers of the challenge as weights, are added to one; the quotient is committed in three parts, with
a random polynomial that will mask what follows.

```
quotient root  {quotient_root}
zeta           {zeta}
```

## 9. Open at one point

The prover says what every column is at the random point zeta: {openings} values. The verifier computes from them what the quotient must be there. If some row broke some equation, that fails for all but a few zeta of 2^192.

```
batching       {batching}
```

## 10. FRI

Are the committed columns the polynomials that have these values? All of them are combined to one function, and that is folded: eight points become one, again and again, each time with a fresh challenge.

{layers}

The last layer is a polynomial with {final} coefficients, which is sent as it is.

![The rounds of the protocol](pictures/rounds.svg)

## 11. Queries

The prover searches a number whose hash begins with 20 zero bits ({nonce}), so that trying again is dear. Then {queries} positions are drawn, {opened} different ones here; at each the prover shows the rows of all trees and the leaves
of all layers, with their Merkle paths.

## 12. The receipt

Its first 160 bytes: the letters `ZKVMRCPT`, version and flags, the digest of the machine, and the image header.

```
{first_bytes}
```

{parts}

![Where the bytes are](pictures/bytes.svg)

## 13. The verdict

The verifier repeats the hashes and the arithmetic of stages 5 to 11, and computes that a false claim passes with a probability of at most 2^-{bits}.
It was given this receipt, and copies in which one bit is changed:

{verdicts}

It has seen no input, no program and no row of a table.

What is proven at each step, exactly: [protocol](protocol.md). Why the tables cannot lie: [arithmetization](arithmetization.md). What the bytes mean: [receipts](receipts.md).
"""
