package wasmhost

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/getevo/rmds/wasmhost/internal/meter"
)

// check looks at a module's imports and exports and tells its kind.
func (h *Host) check(m *meter.Module, mode Mode) (ModuleKind, error) {
	for _, im := range m.Imports {
		if err := h.checkImport(im); err != nil {
			return "", err
		}
	}
	handle, isReactor := functionExport(m, exportHandle)
	start, isCommand := functionExport(m, exportStart)
	isReactor = isReactor && mode == ModeAuto
	switch {
	case isReactor:
		if err := wantType(exportHandle, handle, "() -> (i32)"); err != nil {
			return "", err
		}
	case isCommand:
		if err := wantType(exportStart, start, "() -> ()"); err != nil {
			return "", err
		}
	case mode != ModeAuto:
		return "", fmt.Errorf("%w: no _start, which mode %s needs: build a WASI command, or leave the mode to the exports", ErrExport, mode)
	default:
		return "", fmt.Errorf("%w: neither rmds_handle nor _start: export a function rmds_handle () -> i32 "+
			"(in Go with //go:wasmexport rmds_handle and -buildmode=c-shared), or build a WASI command", ErrExport)
	}
	for name, want := range map[string]string{exportInit: "() -> (i32)", exportInitialize: "() -> ()"} {
		if t, ok := functionExport(m, name); ok && isReactor {
			if err := wantType(name, t, want); err != nil {
				return "", err
			}
		}
	}
	if !exportsMemory(m) {
		return "", fmt.Errorf("%w: memory: export the module's memory under that name", ErrExport)
	}
	switch {
	case isReactor:
		return Reactor, nil
	case mode == ModeLines:
		return Lines, nil
	}
	return Command, nil
}

func functionExport(m *meter.Module, name string) (meter.FuncType, bool) {
	for _, e := range m.Exports {
		if e.Name == name && e.Kind == meter.Func {
			return e.Type, true
		}
	}
	return meter.FuncType{}, false
}

func exportsMemory(m *meter.Module) bool {
	for _, e := range m.Exports {
		if e.Name == exportMemory && e.Kind == meter.Memory {
			return true
		}
	}
	return false
}

func wantType(name string, t meter.FuncType, want string) error {
	if got := t.String(); got != want {
		return fmt.Errorf("%w: %s has type %s, it must be %s", ErrExport, name, got, want)
	}
	return nil
}

// checkImport refuses what this host does not have, by name and with the likely remedy.
func (h *Host) checkImport(im meter.Import) error {
	name := fmt.Sprintf("%s %s.%s", im.Kind, im.Module, im.Name)
	if im.Kind != meter.Func {
		return fmt.Errorf("%w: %s: only functions can be imported; let the module define its %s itself", ErrImport, name, im.Kind)
	}
	def, ok := h.exports[im.Module][im.Name]
	if !ok {
		return fmt.Errorf("%w: %s: %s", ErrImport, name, remedy(im.Module))
	}
	if !bytes.Equal(im.Type.Params, def.ParamTypes()) || !bytes.Equal(im.Type.Results, def.ResultTypes()) {
		want := meter.FuncType{Params: def.ParamTypes(), Results: def.ResultTypes()}
		return fmt.Errorf("%w: %s is imported as %s, it is %s", ErrImport, name, im.Type, want)
	}
	return nil
}

// remedy says what usually leads to an import from module and what to do about it.
func remedy(module string) string {
	switch {
	case module == guestModule:
		return "rmds_v1 has no such function here; a newer node may"
	case strings.HasPrefix(module, "rmds_v"):
		return "this node speaks rmds_v1; rebuild the module for it, or update the node"
	case module == abortModule:
		return "usually a function that the linker did not find; of env only AssemblyScript's abort is provided"
	case module == "wasi_snapshot_preview1":
		return "not a function of WASI preview 1"
	case module == "wasi_unstable":
		return "an early WASI; rebuild with a current toolchain for wasip1"
	case strings.HasPrefix(module, "wasi:"):
		return "WASI preview 2; build for wasip1 (wasm32-wasip1) instead"
	case module == "gojs" || module == "go":
		return "built for a browser; build with GOOS=wasip1 GOARCH=wasm"
	case strings.HasPrefix(module, "__wbindgen") || module == "wbg":
		return "built with wasm-bindgen for JavaScript; build for wasm32-wasip1 or wasm32-unknown-unknown without it"
	}
	return "handlers may import from rmds_v1 and wasi_snapshot_preview1"
}
