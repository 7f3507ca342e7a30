#include "host/nbd_wire.hpp"

namespace vnvme::host::nbd {
namespace {

constexpr std::uint64_t kMagic = 0x4e42444d41474943ULL;        // NBDMAGIC
constexpr std::uint64_t kOptionMagic = 0x49484156454f5054ULL;  // IHAVEOPT
constexpr std::uint64_t kOptionReplyMagic = 0x3e889045565a9ULL;
constexpr std::uint32_t kRequestMagic = 0x25609513u, kReplyMagic = 0x67446698u;

template <class T>
void put(std::string& to, T value) {
  for (int shift = static_cast<int>(sizeof(T)) * 8 - 8; shift >= 0; shift -= 8)
    to += static_cast<char>(static_cast<unsigned char>(value >> shift));
}

// The caller has made sure that the bytes are there.
template <class T>
T get(std::string_view from, std::size_t at) {
  T value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i)
    value = static_cast<T>((value << 8) | static_cast<unsigned char>(from[at + i]));
  return value;
}

tl::unexpected<Error> broken(const char* what) {
  return fail(Errc::protocol, std::string("NBD: ") + what);
}

}  // namespace

Result<std::uint16_t> parse_greeting(std::string_view bytes) {
  if (bytes.size() != kGreetingSize || get<std::uint64_t>(bytes, 0) != kMagic)
    return broken("this is no NBD server");
  if (get<std::uint64_t>(bytes, 8) != kOptionMagic) return broken("the server speaks the old style only");
  auto flags = get<std::uint16_t>(bytes, 16);
  if (!(flags & kHandshakeFixed)) return broken("the server does not speak fixed newstyle");
  return flags;
}

std::string client_flags(std::uint16_t server_flags) {
  std::string out;
  put<std::uint32_t>(out, server_flags & (kHandshakeFixed | kHandshakeNoZeroes));
  return out;
}

std::string option_go() {
  std::string out;
  put(out, kOptionMagic);
  put(out, kOptGo);
  put<std::uint32_t>(out, 6);
  put<std::uint32_t>(out, 0);  // length of the export's name
  put<std::uint16_t>(out, 0);  // number of information requests
  return out;
}

std::string option_export_name() {
  std::string out;
  put(out, kOptionMagic);
  put(out, kOptExportName);
  put<std::uint32_t>(out, 0);
  return out;
}

Result<OptionReply> parse_option_reply(std::string_view bytes, std::uint32_t option) {
  if (bytes.size() != kOptionReplySize || get<std::uint64_t>(bytes, 0) != kOptionReplyMagic)
    return broken("an answer to an option begins with a wrong number");
  if (get<std::uint32_t>(bytes, 8) != option) return broken("an answer to another option");
  OptionReply reply{get<std::uint32_t>(bytes, 12), get<std::uint32_t>(bytes, 16)};
  if (reply.length > kMaxOptionData) return broken("an answer to an option is too long");
  return reply;
}

std::optional<Export> parse_info(std::string_view data) {
  if (data.size() != 12 || get<std::uint16_t>(data, 0) != 0) return std::nullopt;
  return Export{get<std::uint64_t>(data, 2), get<std::uint16_t>(data, 10)};
}

Export parse_export_reply(std::string_view bytes) {
  return {get<std::uint64_t>(bytes, 0), get<std::uint16_t>(bytes, 8)};
}

std::string request(Command command, std::uint64_t cookie, std::uint64_t offset, std::uint32_t length) {
  std::string out;
  put(out, kRequestMagic);
  put<std::uint16_t>(out, 0);
  put(out, static_cast<std::uint16_t>(command));
  put(out, cookie);
  put(out, offset);
  put(out, length);
  return out;
}

Result<std::uint32_t> parse_reply(std::string_view bytes, std::uint64_t cookie) {
  if (bytes.size() != kReplySize || get<std::uint32_t>(bytes, 0) != kReplyMagic)
    return broken("an answer begins with a wrong number");
  if (get<std::uint64_t>(bytes, 8) != cookie) return broken("an answer to a request that was not sent");
  return get<std::uint32_t>(bytes, 4);
}

}  // namespace vnvme::host::nbd
