// Jukebox lists and plays what is in /music. Its web UI is part of the program.
package main

import (
	"embed"
	"encoding/json"
	"io/fs"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

// Set by the linker.
var version = "dev"

// The ui stage of the Dockerfile makes it.
//
//go:embed ui/dist
var built embed.FS

const music = "/music"

func main() {
	ui, err := fs.Sub(built, "ui/dist")
	if err != nil {
		log.Fatal(err)
	}
	http.Handle("GET /", http.FileServerFS(ui))
	http.Handle("GET /stream/", http.StripPrefix("/stream/", http.FileServer(http.Dir(music))))
	http.HandleFunc("GET /api/songs", func(w http.ResponseWriter, _ *http.Request) { answer(w, songs()) })
	http.HandleFunc("GET /ping", func(w http.ResponseWriter, _ *http.Request) {
		manifest, _ := fs.ReadFile(ui, "manifest.json")
		answer(w, pong{Version: version, UI: manifest})
	})
	log.Printf("jukebox %s listens on :4533", version)
	log.Fatal(http.ListenAndServe(":4533", nil))
}

type pong struct {
	Version string          `json:"version"`
	UI      json.RawMessage `json:"ui"`
}

func songs() []string {
	found := []string{}
	filepath.WalkDir(music, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			found = append(found, strings.TrimPrefix(path, music+"/"))
		}
		return nil
	})
	return found
}

func answer(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(value)
}
