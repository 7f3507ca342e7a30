// Frames between the front-end and the daemon: the prefix, then the header lines.
#include "fuzz/fuzz.hpp"
#include "smapi/frame_io.hpp"

using vnvme::fuzz::require;
namespace smapi = vnvme::smapi;
namespace frame = vnvme::frame;

namespace {

void header(std::string_view text, bool full) {
  auto read = smapi::parse_header(text, full);
  if (!read) {
    require(read.error().code == vnvme::Errc::protocol, "a wrong header is a protocol error");
    return;
  }
  require(vnvme::parse_uuid(read->id.value).has_value(), "an accepted header has an id");
  require(!full || !read->method.empty(), "a call has a method");
  auto again = smapi::parse_header(smapi::encode_header(*read), full);
  require(again.has_value(), "what was accepted can be sent on");
  require(again->id == read->id && again->method == read->method && again->sr_type == read->sr_type &&
              again->version == read->version,
          "a header is the same after a round trip");
  require(read->method.empty() || again->deadline_ms == read->deadline_ms, "so is its deadline");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto text = vnvme::fuzz::text(data, size);
  header(text, true);
  header(text, false);
  const auto head = text.substr(0, sizeof(frame::Prefix));
  if (auto prefix = smapi::parse_prefix(head)) {
    require(prefix->header_len <= frame::kHeaderLimit && prefix->body_len <= frame::kBodyLimit,
            "an accepted frame is within the limits");
    auto rest = text.substr(head.size());
    header(rest.substr(0, prefix->header_len), prefix->type == static_cast<std::uint8_t>(frame::Type::call));
  }
  return 0;
}
