// The bytes of the NBD protocol (fixed newstyle), without any socket. Numbers on the wire are big-endian.
// Source: doc/proto.md of the NBD project.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "vnvme/result.hpp"

namespace vnvme::host::nbd {

inline constexpr std::size_t kGreetingSize = 18;     // NBDMAGIC, IHAVEOPT, handshake flags
inline constexpr std::size_t kOptionReplySize = 20;  // magic, option, type, length
inline constexpr std::size_t kExportReplySize = 10;  // size, transmission flags; to NBD_OPT_EXPORT_NAME
inline constexpr std::size_t kExportPadding = 124;   // after it, unless both sides said no zeroes
inline constexpr std::size_t kReplySize = 16;        // magic, error, cookie
inline constexpr std::uint32_t kMaxOptionData = 64u << 10;
inline constexpr std::size_t kMaxOptionReplies = 64;  // to one option

inline constexpr std::uint32_t kOptExportName = 1, kOptGo = 7;
inline constexpr std::uint32_t kRepAck = 1, kRepInfo = 3, kRepErrUnsupported = 0x80000001u;
inline constexpr std::uint16_t kHandshakeFixed = 1, kHandshakeNoZeroes = 2;
inline constexpr std::uint16_t kReadOnly = 1u << 1, kSendFlush = 1u << 2, kSendTrim = 1u << 5,
                               kSendWriteZeroes = 1u << 6;

enum class Command : std::uint16_t {
  read = 0,
  write = 1,
  disconnect = 2,
  flush = 3,
  trim = 4,
  write_zeroes = 6
};

// The server's handshake flags; an error when it does not speak fixed newstyle.
Result<std::uint16_t> parse_greeting(std::string_view bytes);
std::string client_flags(std::uint16_t server_flags);
// NBD_OPT_GO for the default export; NBD_OPT_EXPORT_NAME for servers that do not know it.
std::string option_go();
std::string option_export_name();

struct OptionReply {
  std::uint32_t type, length;
};
Result<OptionReply> parse_option_reply(std::string_view bytes, std::uint32_t option);

struct Export {
  std::uint64_t size;
  std::uint16_t flags;
};
// Of an NBD_REP_INFO; nothing when it is about something else.
std::optional<Export> parse_info(std::string_view data);
Export parse_export_reply(std::string_view bytes);

std::string request(Command command, std::uint64_t cookie, std::uint64_t offset, std::uint32_t length);
// The server's error, 0 for success.
Result<std::uint32_t> parse_reply(std::string_view bytes, std::uint64_t cookie);

}  // namespace vnvme::host::nbd
