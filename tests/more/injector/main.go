// SPDX-License-Identifier: Apache-2.0

// bulkheadpatch applies JSON patches with the library of the API server. Standard input: one JSON object a
// line, {"document": …, "patch": […]}; standard output: the patched document, or {"error": "…"}, a line each.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
)

func apply(line []byte) ([]byte, error) {
	var in struct{ Document, Patch json.RawMessage }
	if err := json.Unmarshal(line, &in); err != nil {
		return nil, err
	}
	patch, err := jsonpatch.DecodePatch(in.Patch)
	if err != nil {
		return nil, err
	}
	return patch.Apply(in.Document)
}

func main() {
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for {
		line, err := in.ReadBytes('\n')
		if len(line) == 0 && err != nil {
			return
		}
		got, failed := apply(line)
		if failed != nil {
			got, _ = json.Marshal(map[string]string{"error": failed.Error()})
		}
		fmt.Fprintf(out, "%s\n", got)
	}
}
