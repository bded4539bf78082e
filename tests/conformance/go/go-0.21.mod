module mimeo/conformance

go 1.21

require github.com/replicate/replicate-go v0.21.0

require golang.org/x/sync v0.6.0 // indirect
