package wire

// Quirk is something that peers do though RTSP does not say so, or that servers are known to trip over.
type Quirk struct {
	Name   string // as of its fixture in testdata/quirks
	What   string // what is sent
	Report string // where that was seen, in public; empty if no report was found
	How    string // how it is dealt with
}

// Quirks returns all quirks that this package is known to cope with. A test plays each one's fixture.
func Quirks() []Quirk { return append(messageQuirks(), transportQuirks()...) }

func messageQuirks() []Quirk {
	return []Quirk{
		{
			"promised-body", "GET_PARAMETER with a Content-Length, but without a body", "",
			"only ANNOUNCE and SET_PARAMETER wait for a body; of others it is skipped, up to a frame or a method's name",
		},
		{
			"promised-body-set", "SET_PARAMETER or ANNOUNCE with a Content-Length, but without a body", "",
			"the request has no body if a frame or a method's name stands where it should begin",
		},
		{"negative-length", "Content-Length: -1", "bluenviron/gortsplib#233", "counts as no body"},
		{
			"empty-keep-alive", "SET_PARAMETER without a body, to keep a session alive", "bluenviron/mediamtx#842",
			"is a request like others",
		},
		{
			"stray-bytes", "bytes between two frames that belong to none", "bluenviron/gortsplib#653",
			"skipped up to Limits.Stray, until there is a frame that looks like RTP or RTCP, or a known method's name",
		},
		{
			"stray-before-request", "bytes between a frame and a request", "",
			"skipped up to a known method's name",
		},
		{"empty-lines", "CRLF before a request", "", "skipped, as RFC 2326, 4.1 asks for"},
		{"bare-lf", "lines that end with LF alone", "meetecho/janus-gateway#1922", "as good as CRLF"},
		{
			"blank-line", "a line in a head that has nothing but a blank", "koush/scrypted#2137",
			"goes on with the line before, so the head does not end there",
		},
		{"blank-after-value", "blanks behind a header's value", "scottlamb/retina#77", "trimmed"},
		{"blanks-around-name", "blanks around a header's name, or none after the colon", "", "trimmed, and not needed"},
		{"header-case", "Content-length, Cseq", "mbullington/yellowstone#17", "names are put into canonical form"},
		{"blank-after-version", "blanks behind the first line", "", "trimmed"},
		{
			"lower-case-method", "options rtsp://host/path rtsp/1.0", "",
			"known methods are put into upper case, if they stand where a message is expected",
		},
		{"version-2", "RTSP/2.0", "sgodwincs/rtsp-rs#32", "Request.Proto says so; the answer is 505"},
		{"url-blanks", "blanks in a URL", "", "the URL ends at the last blank of the line; ParseURL escapes those within"},
		{
			"url-percent", "percent signs and number signs that are meant as such", "",
			"ParseURL escapes them",
		},
		{"url-no-path", "a URL without a path", "", "its path is empty"},
		{"url-star", "* for a URL, with other methods than OPTIONS too", "", "ParseURL returns none"},
		{
			"session-timeout", "Session with the timeout that the server had sent", "bluenviron/mediamtx#815",
			"SessionID leaves it out",
		},
		{
			"session-own", "a session id of the client's own making, or a negative or huge one", "bluenviron/gortsplib#532",
			"ids are opaque text",
		},
		{
			"server-request", "a request amid what a server answers", "bluenviron/gortsplib#549",
			"a Reader returns both",
		},
	}
}

func transportQuirks() []Quirk {
	return []Quirk{
		{"transport-order", "interleaved before unicast", "scottlamb/retina#120", "the order means nothing"},
		{"transport-blanks", "client_port = 5000-5001", "", "trimmed"},
		{"transport-single-port", "client_port without a range", "fyhertz/libstreaming#276", "RTCP's is the next one"},
		{"transport-single-channel", "interleaved=0 without a range", "", "RTCP's is the next one"},
		{"transport-no-channels", "RTP/AVP/TCP without interleaved", "bluenviron/mediamtx#1650", "the server chooses"},
		{"transport-zero-ports", "client_port=0-0", "bluenviron/mediamtx#50", "no ports are given"},
		{"transport-mode", "mode=record, mode=\"RECORD\", mode=receive", "", "all mean the same"},
		{"transport-many", "several transports in one header", "bluenviron/gortsplib#145", "all are returned, in that order"},
		{"transport-unknown", "transports that nobody here knows among others", "stackia/rtp2httpd#654", "left out"},
		{
			"transport-comma", "a comma instead of a semicolon", "bluenviron/mediamtx#762",
			"what is behind it is no transport, and left out",
		},
		{"transport-junk", "bytes before RTP/AVP", "bluenviron/mediamtx#423", "skipped"},
		{
			"transport-no-cast", "neither unicast nor multicast", "scottlamb/moonfire-nvr#192",
			"unicast, though RFC 2326, 12.39 says multicast",
		},
	}
}
