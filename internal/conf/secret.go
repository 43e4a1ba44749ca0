package conf

import (
	"fmt"
	"io"
	"log/slog"
)

// masked is what stands in the place of every secret that is printed.
const masked = "***"

// Secret is a text that prints as *** through fmt, slog, JSON and YAML. Only Reveal gives it. Keep it in exported
// fields: fmt does not ask the methods of an unexported field and would print the text.
type Secret string

// Masker is a setting in which secrets may stand among other things, such as a URL with a password. Mask gives it with *** in their place:
// [Config.Masked] and [Reference] show it so.
type Masker interface{ Mask() string }

// Reveal gives the secret's text.
func (s Secret) Reveal() string { return string(s) }

// String gives ***, whatever the secret is.
func (s Secret) String() string { return masked }

// Format implements fmt.Formatter, so that no verb shows the secret.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, masked) }

// LogValue implements slog.LogValuer.
func (s Secret) LogValue() slog.Value { return slog.StringValue(masked) }

// MarshalText implements encoding.TextMarshaler, which JSON and YAML use.
func (s Secret) MarshalText() ([]byte, error) { return []byte(masked), nil }
