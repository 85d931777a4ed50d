//go:build !wasip1

package guest

// Outside a node there is no message, no configuration and no store.

func hostMsgGet(key string, buf *byte, size uint32) int32       { return answerAbsent }
func hostCfgGet(key string, buf *byte, size uint32) int32       { return answerAbsent }
func hostKVGet(key string, buf *byte, size uint32) int32        { return answerNotPermitted }
func hostKVSet(key string, value *byte, size uint32) int32      { return answerNotPermitted }
func hostKVDel(key string) int32                                { return answerNotPermitted }
func hostKVNext(key string, buf *byte, size uint32) int32       { return answerNotPermitted }
func hostReply(content *byte, size uint32) int32                { return answerNotPermitted }
func hostSend(channel string, content *byte, size uint32) int32 { return answerNotPermitted }
func hostHead(key, value string) int32                          { return answerNotPermitted }
func hostNote(key, value string) int32                          { return answerNotPermitted }
func hostLog(level int32, text string)                          {}
