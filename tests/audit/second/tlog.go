// What Go's own checksum database uses judges the same notes, proofs and trees: one JSON request in, one answer out.
// Knows nothing of the product. Built with the Debian packages golang-go and golang-golang-x-mod-dev: `make second`.
package main

import (
	"encoding/json"
	"os"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type request struct {
	Notes   []struct{ Key, Note string }
	Records []struct {
		Index, Size int64
		Root, Leaf  []byte
		Path        [][]byte
	}
	Growths []struct {
		Old, New         int64
		OldRoot, NewRoot []byte
		Path             [][]byte
	}
	Trees [][][]byte
}

type answer struct {
	Notes, Records, Growths []bool
	Trees                   [][]byte
}

type stored []tlog.Hash

func (all stored) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	found := make([]tlog.Hash, len(indexes))
	for at, index := range indexes {
		found[at] = all[index]
	}
	return found, nil
}

func hash(data []byte) (one tlog.Hash) {
	copy(one[:], data)
	return one
}

func hashes(path [][]byte) []tlog.Hash {
	found := make([]tlog.Hash, len(path))
	for at, data := range path {
		found[at] = hash(data)
	}
	return found
}

func root(entries [][]byte) []byte {
	var all stored
	for at, entry := range entries {
		more, err := tlog.StoredHashes(int64(at), entry, all)
		if err != nil {
			panic(err)
		}
		all = append(all, more...)
	}
	tree, err := tlog.TreeHash(int64(len(entries)), all)
	if err != nil {
		panic(err)
	}
	return tree[:]
}

func opens(key, text string) bool {
	verifier, err := note.NewVerifier(key)
	if err != nil {
		return false
	}
	_, err = note.Open([]byte(text), note.VerifierList(verifier))
	return err == nil
}

func main() {
	var asked request
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil {
		panic(err)
	}
	var told answer
	for _, one := range asked.Notes {
		told.Notes = append(told.Notes, opens(one.Key, one.Note))
	}
	for _, one := range asked.Records {
		err := tlog.CheckRecord(hashes(one.Path), one.Size, hash(one.Root), one.Index, hash(one.Leaf))
		told.Records = append(told.Records, err == nil)
	}
	for _, one := range asked.Growths {
		err := tlog.CheckTree(hashes(one.Path), one.New, hash(one.NewRoot), one.Old, hash(one.OldRoot))
		told.Growths = append(told.Growths, err == nil)
	}
	for _, one := range asked.Trees {
		told.Trees = append(told.Trees, root(one))
	}
	if err := json.NewEncoder(os.Stdout).Encode(told); err != nil {
		panic(err)
	}
}
