package plumb

// A Plan, and its operations. Diff makes it (diff.go), Apply does it (apply.go).

// Verb is what an Op does with its object.
type Verb byte

// The verbs, as they stand at the start of an operation's text.
const (
	Add Verb = '+'
	Del Verb = '-'
	Set Verb = '~' // change in place
)

// Op is one change of the kernel. Its text is the log line, the dry run and the golden file.
type Op struct {
	Verb Verb
	dev  string // name of the interface, for the text
	obj  any    // what it is done with, see Kind
}

type (
	altName       string
	linkUp        bool
	linkMTU       int
	linkGroup     IfGroup
	linkValidMark bool
	linkForward   bool
)

// Plan is what has to be done, in order. An empty one means converged.
type Plan []Op
