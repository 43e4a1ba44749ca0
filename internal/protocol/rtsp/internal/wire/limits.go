package wire

// Limits bounds what a peer may cost. A field that is 0 or less means its default.
type Limits struct {
	Head  int // bytes of a message's first line and headers, with the empty line; 16 KiB
	Body  int // bytes of a message's body; 64 KiB
	Stray int // bytes skipped in a row because they belong to no message; 4 KiB
}

// Defaults of [Limits].
const (
	DefaultHead  = 16 << 10
	DefaultBody  = 64 << 10
	DefaultStray = 4 << 10
)

const (
	linesMax   = 128      // header lines of a message: each costs more memory than bytes on the wire
	methodMax  = 32       // bytes of a method's name
	bufferMin  = 256      // bytes that a Reader reads ahead: less would only make for more reads
	bufferSize = 16 << 10 // what it is if nothing is said
	keepMin    = 2 << 10  // memory that a Parser keeps for cut messages whatever they are like
)

func (l Limits) withDefaults() Limits {
	set := func(field *int, value int) {
		if *field <= 0 {
			*field = value
		}
	}
	set(&l.Head, DefaultHead)
	set(&l.Body, DefaultBody)
	set(&l.Stray, DefaultStray)
	return l
}
