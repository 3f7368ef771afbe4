// A stand-in for kiwix-serve, which the lab cannot have: it takes the arguments that the sample repository starts it with, and answers where the
// real one shows its catalogue, with nothing but the name and number of books in its library.
package main

import (
	"encoding/xml"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"strconv"
)

// Set by the linker: the version that its tarball is named after.
var version = "dev"

func main() {
	port := flag.Int("port", 80, "where to listen")
	isLibrary := flag.Bool("library", false, "the file is a library, not a book")
	flag.Parse()
	if !*isLibrary || flag.NArg() != 1 {
		log.Fatal("say: kiwix-serve --port=8080 --library library.xml")
	}
	text, err := os.ReadFile(flag.Arg(0))
	if err != nil {
		log.Fatal(err)
	}
	var library struct {
		XMLName xml.Name   `xml:"library"`
		Books   []struct{} `xml:"book"`
	}
	if err := xml.Unmarshal(text, &library); err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("GET /catalog/v2/root.xml", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "<feed><title>OPDS Catalog Root: kiwix-serve %s (the lab's stand-in), %d books</title></feed>\n", version, len(library.Books))
	})
	log.Fatal(http.ListenAndServe(":"+strconv.Itoa(*port), nil))
}
