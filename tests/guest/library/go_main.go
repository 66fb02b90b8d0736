// A Go program, compiled by TinyGo, on the SDK's runtime and C library.
package main

import (
	"sort"
	"unsafe"
)

//export read
func read(file int32, buffer unsafe.Pointer, length uintptr) int32

//export write
func write(file int32, bytes unsafe.Pointer, length uintptr) int32

// How often each word of the input occurs, in the order of the alphabet.
func main() {
	var input []byte
	piece := make([]byte, 100)
	for {
		count := read(0, unsafe.Pointer(&piece[0]), uintptr(len(piece)))
		if count <= 0 {
			break
		}
		input = append(input, piece[:count]...)
	}
	counts := map[string]int{}
	word := []byte{}
	for _, letter := range append(input, ' ') {
		if letter >= 0x80 {
			panic("text in ASCII")
		}
		if letter != ' ' {
			word = append(word, letter)
		} else if len(word) > 0 {
			counts[string(word)]++
			word = nil
		}
	}
	words := make([]string, 0, len(counts))
	for word := range counts {
		words = append(words, word)
	}
	sort.Strings(words)
	println(len(words), "words")
	lines := ""
	for _, word := range words {
		lines += word + " " + string(rune('0'+counts[word])) + "\n"
	}
	journal := []byte(lines)
	write(3, unsafe.Pointer(&journal[0]), uintptr(len(journal)))
}
