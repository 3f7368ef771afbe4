module kiwix-serve

go 1.24
