// Package metrics is the Prometheus window onto the hub. Figures are read from a snapshot when somebody scrapes; nothing is
// counted for Prometheus on the path of media. Labels are few and bounded: protocols, actions and reasons, never stream names
// or addresses.
package metrics
