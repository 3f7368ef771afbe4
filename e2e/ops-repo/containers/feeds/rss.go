package main

import (
	"encoding/xml"
	"io"
	"slices"
	"time"
)

type entry struct {
	Title     string    `xml:"title" json:"title"`
	Link      string    `xml:"link" json:"link"`
	Published string    `xml:"pubDate" json:"-"`
	At        time.Time `xml:"-" json:"at"`
}

// Reads an RSS 2.0 document. An entry without a date that can be read goes to the end.
func read(from io.Reader) ([]entry, error) {
	var feed struct {
		XMLName xml.Name `xml:"rss"`
		Entries []entry  `xml:"channel>item"`
	}
	if err := xml.NewDecoder(from).Decode(&feed); err != nil {
		return nil, err
	}
	for i := range feed.Entries {
		feed.Entries[i].At, _ = time.Parse(time.RFC1123Z, feed.Entries[i].Published)
	}
	return feed.Entries, nil
}

func newestFirst(entries []entry) []entry {
	slices.SortStableFunc(entries, func(a, b entry) int { return b.At.Compare(a.At) })
	return entries
}
