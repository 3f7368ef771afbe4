//! One bare clone per SourceRepository: fetch, index, read, export.
