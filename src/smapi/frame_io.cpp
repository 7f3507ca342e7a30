#include "smapi/frame_io.hpp"

#include <charconv>

#include "core/text.hpp"

namespace vnvme::smapi {
namespace {

// Longer values have no use in any header of ours.
constexpr std::size_t kValueLimit = 256;

Result<void> take_number(std::string_view text, std::uint32_t& into) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), into);
  if (error != std::errc{} || end != text.data() + text.size())
    return fail(Errc::protocol, "frame header: deadline_ms is '" + printable(text, 40) + "', not a number");
  return {};
}

bool plain(std::string_view text) {
  for (char c : text)
    if (c < 0x21 || c > 0x7e) return false;
  return true;
}

class HeaderReader {
 public:
  Result<void> line(std::string_view text) {
    auto equals = text.find('=');
    if (equals == std::string_view::npos || equals == 0)
      return fail(Errc::protocol, "frame header: '" + printable(text, 40) + "' is no key=value line");
    auto key = text.substr(0, equals), value = text.substr(equals + 1);
    if (value.size() > kValueLimit || !plain(value))
      return fail(Errc::protocol, "frame header: the value of '" + printable(key, 40) +
                                      "' is not plain ASCII of at most 256 bytes");
    return take(key, value);
  }
  Result<FrameHeader> finish(bool full) {
    if (header_.id.empty()) return fail(Errc::protocol, "frame header: no id");
    if (full && header_.method.empty()) return fail(Errc::protocol, "frame header: no method");
    if (full && !has_deadline_) return fail(Errc::protocol, "frame header: no deadline_ms");
    return std::move(header_);
  }

 private:
  Result<void> take(std::string_view key, std::string_view value) {
    if (key == "id") {
      auto uuid = parse_uuid(value);
      if (!uuid) return fail(Errc::protocol, "frame header: id '" + printable(value, 40) + "' is no uuid");
      return once(!header_.id.empty(), key, [&] { header_.id = RequestId(*uuid); });
    }
    if (key == "method") return once(!header_.method.empty(), key, [&] { header_.method = value; });
    if (key == "sr_type") return once(!header_.sr_type.empty(), key, [&] { header_.sr_type = value; });
    if (key == "version") return once(!header_.version.empty(), key, [&] { header_.version = value; });
    if (key != "deadline_ms") return {};
    if (has_deadline_) return fail(Errc::protocol, "frame header: 'deadline_ms' twice");
    has_deadline_ = true;
    return take_number(value, header_.deadline_ms);
  }
  template <class Set>
  Result<void> once(bool there, std::string_view key, Set set) {
    if (there) return fail(Errc::protocol, "frame header: '" + std::string(key) + "' twice");
    set();
    return {};
  }
  FrameHeader header_;
  bool has_deadline_ = false;
};

}  // namespace

Result<frame::Prefix> parse_prefix(std::string_view bytes, std::uint32_t body_limit) {
  frame::Prefix p{};
  if (bytes.size() != sizeof p)
    return fail(Errc::protocol, "a frame begins with 16 bytes, not " + std::to_string(bytes.size()));
  std::memcpy(&p, bytes.data(), sizeof p);
  if (std::memcmp(p.magic, frame::kMagic, sizeof p.magic) != 0)
    return fail(Errc::protocol,
                "not a frame of vnvme: it begins with '" + printable(bytes.substr(0, 4), 16) + "', not VNV1");
  if (p.header_len > frame::kHeaderLimit || p.body_len > body_limit)
    return fail(Errc::protocol, "a frame of " + std::to_string(p.header_len) + " + " +
                                    std::to_string(p.body_len) + " bytes; the limits are " +
                                    std::to_string(frame::kHeaderLimit) + " and " +
                                    std::to_string(body_limit));
  if (!frame::acceptable(p, body_limit))
    return fail(Errc::protocol, "a frame of unknown type " + std::to_string(p.type));
  return p;
}

Result<FrameHeader> parse_header(std::string_view text, bool full) {
  if (text.size() > frame::kHeaderLimit)
    return fail(Errc::protocol, "frame header of " + std::to_string(text.size()) + " bytes");
  HeaderReader reader;
  while (!text.empty()) {
    auto newline = text.find('\n');
    if (newline == std::string_view::npos) return fail(Errc::protocol, "frame header: the last line is cut");
    VNVME_TRY(reader.line(text.substr(0, newline)));
    text.remove_prefix(newline + 1);
  }
  return reader.finish(full);
}

std::string encode_header(const FrameHeader& header) {
  std::string out = "id=" + header.id.value + "\n";
  auto add = [&out](std::string_view key, const std::string& value) {
    if (!value.empty()) out.append(key).append("=").append(value).append("\n");
  };
  add("method", header.method);
  add("sr_type", header.sr_type);
  if (!header.method.empty()) add("deadline_ms", std::to_string(header.deadline_ms));
  add("version", header.version);
  return out;
}

std::string encode_frame(frame::Type type, std::uint8_t flags, std::string_view header,
                         std::string_view body) {
  auto p = frame::make_prefix(type, flags, static_cast<std::uint32_t>(header.size()),
                              static_cast<std::uint32_t>(body.size()));
  std::string out;
  out.reserve(sizeof p + header.size() + body.size());
  out.append(reinterpret_cast<const char*>(&p), sizeof p).append(header).append(body);
  return out;
}

}  // namespace vnvme::smapi
