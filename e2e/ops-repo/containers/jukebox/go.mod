module jukebox

go 1.24
