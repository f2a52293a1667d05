// SPDX-License-Identifier: Apache-2.0

// json-patch-oracle applies JSON patches with the library that the API server uses for webhooks. Each
// line of standard input is {"doc": OBJECT, "patch": [...]}; each line of output the patched document, or
// "error: " and why.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
)

type question struct {
	Doc   json.RawMessage `json:"doc"`
	Patch json.RawMessage `json:"patch"`
}

func apply(line []byte) ([]byte, error) {
	var q question
	if err := json.Unmarshal(line, &q); err != nil {
		return nil, err
	}
	patch, err := jsonpatch.DecodePatch(q.Patch)
	if err != nil {
		return nil, err
	}
	return patch.Apply(q.Doc)
}

func main() {
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := bufio.NewWriter(os.Stdout)
	for {
		line, err := in.ReadBytes('\n')
		if len(line) == 0 && err != nil {
			break
		}
		if patched, err := apply(line); err != nil {
			fmt.Fprintf(out, "error: %q\n", err.Error())
		} else {
			fmt.Fprintf(out, "%s\n", patched)
		}
		out.Flush()
	}
}
