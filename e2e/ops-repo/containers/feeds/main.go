// Feeds is a small reader of RSS: it is given feeds and lists what is in them, the newest first.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"sync"
)

// Set by the linker.
var version = "dev"

func main() {
	shelf := &shelf{}
	http.HandleFunc("GET /healthcheck", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "OK") })
	http.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "feeds", version) })
	http.HandleFunc("GET /entries", shelf.list)
	http.HandleFunc("POST /feeds", shelf.add)
	log.Printf("feeds %s listens on :8080", version)
	log.Fatal(http.ListenAndServe(":8080", nil))
}

// What has been read so far.
type shelf struct {
	lock    sync.Mutex
	entries []entry
}

func (s *shelf) list(w http.ResponseWriter, _ *http.Request) {
	s.lock.Lock()
	defer s.lock.Unlock()
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(s.entries)
}

func (s *shelf) add(w http.ResponseWriter, r *http.Request) {
	found, err := read(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil {
		http.Error(w, "this is not RSS: "+err.Error(), http.StatusBadRequest)
		return
	}
	s.lock.Lock()
	defer s.lock.Unlock()
	s.entries = newestFirst(append(s.entries, found...))
	fmt.Fprintln(w, len(found), "entries")
}
