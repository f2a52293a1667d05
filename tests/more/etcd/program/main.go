// SPDX-License-Identifier: Apache-2.0

// program proves the sidecar with etcd's own Go client.
//
//	program recipes URL…           every recipe of the client, at the same time at each address: equal names,
//	                               different tenants
//	program linear URL SECONDS     works while servers are killed and stopped around it, then judges: keys
//	                               with porcupine, a watch by its laws
//	program hold URL               holds all that the recipes use until its input ends
//	program stream URL             KV.RangeStream, of etcd 3.7
//
// Exit status 0 and "OK" as the last line, or what is wrong.
package main

import (
	"fmt"
	"os"
	"strconv"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

func connect(url string) *clientv3.Client {
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{url}, DialTimeout: 20 * time.Second,
		DialKeepAliveTime: 5 * time.Second, DialKeepAliveTimeout: 3 * time.Second, Logger: zap.NewNop()})
	must(err)
	return c
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func check(is bool, format string, args ...any) {
	if !is {
		panic(fmt.Sprintf(format, args...))
	}
}

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: program recipes URL... | hold URL | linear URL SECONDS | stream URL")
		os.Exit(2)
	}
	switch os.Args[1] {
	case "recipes":
		recipes(os.Args[2:])
	case "linear":
		seconds, err := strconv.Atoi(os.Args[3])
		must(err)
		linear(os.Args[2], time.Duration(seconds)*time.Second)
	case "hold":
		hold(os.Args[2])
	case "stream":
		stream(os.Args[2])
	}
	fmt.Println("OK")
}
