// Package e2e runs the program itself, as users get it, against real encoders and players: ffmpeg, ffprobe, GStreamer, rtmpdump,
// mpegts.js, and against test publishers and readers of our own where no other maker's program speaks a codec yet.
//
// README.md tells which client is tried with which format; a test holds the table to what is run. All are ordinary tests,
// part of "go test ./...": nothing is skipped, and a program that is missing is a failure that says what to install. The program
// under test is built with the race detector when the tests are; a race that it reports, a panic, or another exit
// code than 0 after SIGTERM fails the test that started it.
//
// The folder reader holds a reader of FLV that shares no code with Vigil; the folder faults ways of behaving badly.
package e2e
