package guest

// The imports of the contract. A string parameter is passed as pointer and length.

//go:wasmimport rmds_v1 msg_get
func hostMsgGet(key string, buf *byte, size uint32) int32

//go:wasmimport rmds_v1 cfg_get
func hostCfgGet(key string, buf *byte, size uint32) int32

//go:wasmimport rmds_v1 kv_get
func hostKVGet(key string, buf *byte, size uint32) int32

//go:wasmimport rmds_v1 kv_set
func hostKVSet(key string, value *byte, size uint32) int32

//go:wasmimport rmds_v1 kv_del
func hostKVDel(key string) int32

//go:wasmimport rmds_v1 kv_next
func hostKVNext(key string, buf *byte, size uint32) int32

//go:wasmimport rmds_v1 reply
func hostReply(content *byte, size uint32) int32

//go:wasmimport rmds_v1 send
func hostSend(channel string, content *byte, size uint32) int32

//go:wasmimport rmds_v1 head
func hostHead(key, value string) int32

//go:wasmimport rmds_v1 note
func hostNote(key, value string) int32

//go:wasmimport rmds_v1 log
func hostLog(level int32, text string)

//go:wasmexport rmds_init
func exportInit() int32 { return initialize() }

//go:wasmexport rmds_handle
func exportHandle() int32 { return handle() }
