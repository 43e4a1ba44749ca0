// Package log makes lines out of slog records, for people or for machines, and never makes a caller wait:
//
//	14:02:11.042 INF rtmp 7f3a publishing live/cam1: H264 1920x1080 25 fps, AAC 48 kHz stereo
//
// A record is formatted in its caller's goroutine and appended to the queue of each sink, under a mutex that guards
// memory only. One goroutine a sink writes. A queue is bounded in lines and bytes; when it is full the newest line
// is dropped and counted, and as soon as the sink works again it is told "N log messages dropped". A sink whose write
// hangs is given up until it returns ([Log.Watch]): its queue and all that comes is dropped and counted. The newest lines are in
// memory in any case ([Log.Recent]).
//
// Records are counted by level and message, which is static ([Log.Counts]). Of one kind 100 lines at once and 50 a second are
// logged; what is more is counted, and told of once a second. The first lines of a kind are never held back.
//
// The attributes named [ProtocolKey] and [SessionKey] are the two leading columns of a text line; [StreamKey],
// [TracksKey] and [CauseKey] go on with the sentence; the others follow the message as key=value. Whatever a peer may have put into a record is escaped, so that a record is always one
// line and never moves a terminal's cursor.
//
// The package knows nothing of streams or protocols. It writes files only through the rotation of timberjack.
//
// A [Log] and its loggers may be used from any goroutine, before, during and after [Log.Run].
package log
