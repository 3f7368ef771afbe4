//! `mainstay source`: the exact tree of one commit.
