// Frames between vnvme-plugin and vnvmed as text in memory: no socket here.
#pragma once
#include <span>
#include <string>
#include <string_view>

#include "vnvme/ids.hpp"
#include "vnvme/result.hpp"
#include "vnvme/smapi_frame.hpp"

namespace vnvme::smapi {

// The header lines. Of a `call` all of them are there, of `printing` the id alone.
struct FrameHeader {
  RequestId id;
  std::string method, sr_type, version;
  std::uint32_t deadline_ms = 0;  // how long the daemon may take, from the arrival of the frame
};

// The 16 bytes that begin a frame. Errc::protocol: not ours, or beyond the limits.
Result<frame::Prefix> parse_prefix(std::string_view bytes, std::uint32_t body_limit = frame::kBodyLimit);

// "key=value\n" lines. Unknown keys are ignored (a newer front-end may send more); a known key twice, an id
// that is no uuid, a number that is none are refused. `full`: everything that a call needs must be there.
Result<FrameHeader> parse_header(std::string_view text, bool full);
std::string encode_header(const FrameHeader& header);

// A whole frame, ready for the wire. The header must fit frame::kHeaderLimit.
std::string encode_frame(frame::Type type, std::uint8_t flags, std::string_view header,
                         std::string_view body);

}  // namespace vnvme::smapi
