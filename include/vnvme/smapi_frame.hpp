// What travels between vnvme-plugin and vnvmed on /run/vnvme/smapi.sock.
// Plain POD code: the front-end has no JSON library, no Asio, no threads.
//
//   frame  = magic "VNV1" | type u8 | flags u8 | reserved u16 = 0 | header_len u32 | body_len u32 | header |
//   body header = "key=value\n" lines, ASCII keys, values without newline integers little-endian (x86-64
//   only); header <= 4 KiB, body <= 8 MiB.
//
// front-end -> daemon   call     header: id=<uuid> method=Volume.create sr_type=vnvme deadline_ms=58000
// version=0.1.0
//                                body: stdin as it came (one JSON object)
// daemon -> front-end   result   body: the JSON value to print.  flag needs_word: say `printing` first (R5)
//                       error    body: the complete error object to print; exit 1
// front-end -> daemon   printing (same header id=)   "about to print"
// daemon -> front-end   print    the volume is visible durably: print and exit 0
//                       error    it was too late, or the commit failed: print this instead
//
// One call a connection. A front-end whose connection broke, or could not be
// made, tries again with the same id until its own deadline (R1, R4).
#pragma once
#include <cstdint>
#include <cstring>

namespace vnvme::frame {

inline constexpr char kMagic[4] = {'V', 'N', 'V', '1'};
inline constexpr std::uint32_t kHeaderLimit = 4u << 10;
inline constexpr std::uint32_t kBodyLimit = 8u << 20;
inline constexpr std::uint32_t kAnswerLimit = 64u << 20;  // SR.ls of 60,000 volumes

enum class Type : std::uint8_t { call = 1, result = 2, error = 3, printing = 4, print = 5 };
inline constexpr std::uint8_t kNeedsWord = 1;

struct Prefix {
  char magic[4];
  std::uint8_t type;
  std::uint8_t flags;
  std::uint16_t reserved;
  std::uint32_t header_len;
  std::uint32_t body_len;
};
static_assert(sizeof(Prefix) == 16);

inline Prefix make_prefix(Type type, std::uint8_t flags, std::uint32_t header_len, std::uint32_t body_len) {
  Prefix p{};
  std::memcpy(p.magic, kMagic, sizeof kMagic);
  p.type = static_cast<std::uint8_t>(type);
  p.flags = flags;
  p.header_len = header_len;
  p.body_len = body_len;
  return p;
}

// Is this the beginning of a frame within the limits?
inline bool acceptable(const Prefix& p, std::uint32_t body_limit) {
  return std::memcmp(p.magic, kMagic, sizeof kMagic) == 0 && p.reserved == 0 && p.type >= 1 && p.type <= 5 &&
         p.header_len <= kHeaderLimit && p.body_len <= body_limit;
}

}  // namespace vnvme::frame
