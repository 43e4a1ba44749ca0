package chunk

// Limits bounds what a peer may cost. A field that is 0 means its default.
type Limits struct {
	Message int // bytes of a message; 8 MiB
	Partial int // bytes held for messages that are partly received, at least Message; 16 MiB
	Streams int // chunk streams remembered; 64
	Buffer  int // bytes that a Reader reads ahead; 16 KiB. A Parser has no buffer
}

// Defaults of [Limits].
const (
	DefaultMessage = 8 << 20
	DefaultPartial = 16 << 20
	DefaultStreams = 64
	DefaultBuffer  = 16 << 10
)

const (
	bufferMin    = 256      // less would only make for more reads
	firstAlloc   = 64 << 10 // memory that a header alone is worth
	amplesMax    = 2        // messages under way that this goes for at a time: audio and video take turns
	smallAlloc   = 4 << 10  // memory that a header is worth beyond these
	growthFactor = 4        // memory that a byte received is worth
)

func (l Limits) withDefaults() Limits {
	set := func(field *int, value int) {
		if *field <= 0 {
			*field = value
		}
	}
	set(&l.Message, DefaultMessage)
	set(&l.Partial, DefaultPartial)
	set(&l.Streams, DefaultStreams)
	set(&l.Buffer, DefaultBuffer)
	l.Partial = max(l.Partial, l.Message)
	l.Buffer = max(l.Buffer, bufferMin)
	return l
}
