//go:build wedge

package wedge

import "unsafe"

func uintptrOf(b *[1]byte) uintptr { return uintptr(unsafe.Pointer(b)) }
