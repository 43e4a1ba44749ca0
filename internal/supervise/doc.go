// Package supervise is the parent process of a server: it holds the listening sockets, starts the worker, which does all the work, hears
// its heartbeats, probes it from end to end, and replaces it when it has died, when it is wedged, or when it is told to.
//
// Connections that come while there is no worker wait in the sockets' queues; on HTTP they are answered with 503. So a worker's death
// is a pause for those who connect, and never a refusal.
//
// The supervisor knows nothing of media. It shares no lock, no memory, no log and no disk with the worker; one goroutine, which waits
// for nobody, owns all of its state (loop.go): who lives and who follows (workers.go), and whether the one that serves is well
// (examine.go, judge.go). Whatever may wait (the worker's messages, the probe, the keeping of evidence) has a goroutine of its own that
// posts what it has found.
//
//	supervisor                                                worker
//	  loop.go    <- requests for sockets, "ready", evidence --  attach.go    a socket pair, descriptor 3
//	             -- sockets, state of health, "retire" ------>
//	             <- heartbeats, four a second ----------------               a pipe, descriptor 4
//	  probe      -- publishes and plays ------------------->   its ports
//	  health.go     /livez, /readyz: on watch.listen; stand.go answers on HTTP while no worker does
//
// It runs on Linux. Elsewhere the server is one process.
package supervise
