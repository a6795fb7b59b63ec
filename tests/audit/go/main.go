// Command check reads a published log and a proof with Go's own checksum-database packages.
//
//	check FOLDER VKEY PROOF ENTRY OLD
//
// It opens the checkpoint as a signed note, checks the tiles against its root, every entry against its
// tile, the proof against its own checkpoint, and that the log of OLD entries is the beginning of this one.
// It prints size and root.
package main

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8

func main() {
	log.SetFlags(0)
	if len(os.Args) != 6 {
		log.Fatal("usage: check FOLDER VKEY PROOF ENTRY OLD")
	}
	folder := os.Args[1]
	verifier, err := note.NewVerifier(strings.TrimSpace(string(read(os.Args[2]))))
	must(err)
	tree := open(read(filepath.Join(folder, "checkpoint")), verifier)
	reader := tlog.TileHashReader(tree, published(folder))
	root, err := tlog.TreeHash(tree.N, reader)
	must(err)
	if root != tree.Hash {
		log.Fatal("the tiles do not lead to the root")
	}
	checkEntries(folder, tree, reader)
	checkProof(string(read(os.Args[3])), read(os.Args[4]), verifier)
	old, err := strconv.ParseInt(os.Args[5], 10, 64)
	must(err)
	checkBeginning(old, tree, reader)
	fmt.Printf("%d %s\n", tree.N, tree.Hash)
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func read(path string) []byte {
	data, err := os.ReadFile(path)
	must(err)
	return data
}

// open returns the tree of a checkpoint: the two packages agree on its first three lines, save for the name.
func open(message []byte, verifier note.Verifier) tlog.Tree {
	opened, err := note.Open(message, note.VerifierList(verifier))
	must(err)
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != verifier.Name() {
		log.Fatal("not a checkpoint of ", verifier.Name())
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	must(err)
	root, err := tlog.ParseHash(lines[2])
	must(err)
	return tlog.Tree{N: size, Hash: root}
}

// published reads tiles from a folder. C2SP's paths leave out the height and say "entries" for "data".
type published string

func (p published) Height() int                         { return height }
func (p published) SaveTiles(_ []tlog.Tile, _ [][]byte) {}

func (p published) path(tile tlog.Tile) string {
	rest := strings.TrimPrefix(tile.Path(), fmt.Sprintf("tile/%d/", height))
	rest = strings.Replace(rest, "data/", "entries/", 1)
	return filepath.Join(string(p), "tile", filepath.FromSlash(rest))
}

// tile reads a tile, from the full one where the partial one is gone.
func (p published) tile(tile tlog.Tile) ([]byte, error) {
	data, err := os.ReadFile(p.path(tile))
	if errors.Is(err, os.ErrNotExist) {
		full := tile
		full.W = 1 << height
		data, err = os.ReadFile(p.path(full))
	}
	return data, err
}

func (p published) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var found [][]byte
	for _, tile := range wanted {
		data, err := p.tile(tile)
		if err != nil {
			return nil, err
		}
		found = append(found, data[:tile.W*tlog.HashSize])
	}
	return found, nil
}

// checkEntries compares each published entry with its hash, which reader has proved to be under the root.
func checkEntries(folder string, tree tlog.Tree, reader tlog.HashReader) {
	for first := int64(0); first < tree.N; first += 1 << height {
		width := min(tree.N-first, 1<<height)
		bundle, err := published(folder).tile(tlog.Tile{H: height, L: -1, N: first >> height, W: int(width)})
		must(err)
		for index := first; index < first+width; index++ {
			length := binary.BigEndian.Uint16(bundle)
			entry := bundle[2 : 2+length]
			bundle = bundle[2+length:]
			hashes, err := reader.ReadHashes([]int64{tlog.StoredHashIndex(0, index)})
			must(err)
			if hashes[0] != tlog.RecordHash(entry) {
				log.Fatal("entry ", index, " is not under the root")
			}
		}
	}
}

func checkProof(text string, entry []byte, verifier note.Verifier) {
	head, message, ok := strings.Cut(text, "\n\n")
	lines := strings.Split(head, "\n")
	if !ok || len(lines) < 2 || lines[0] != "c2sp.org/tlog-proof@v1" {
		log.Fatal("not a tlog-proof")
	}
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[1], "index "), 10, 64)
	must(err)
	var proof tlog.RecordProof
	for _, line := range lines[2:] {
		hash, err := base64.StdEncoding.DecodeString(line)
		must(err)
		proof = append(proof, tlog.Hash(hash))
	}
	tree := open([]byte(message), verifier)
	must(tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(bytes.TrimRight(entry, "\n"))))
}

func checkBeginning(old int64, tree tlog.Tree, reader tlog.HashReader) {
	root, err := tlog.TreeHash(old, reader)
	must(err)
	proof, err := tlog.ProveTree(tree.N, old, reader)
	must(err)
	must(tlog.CheckTree(proof, tree.N, tree.Hash, old, root))
}
