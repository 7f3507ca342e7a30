// What a card's HTTP proxy may send: an answer in any pieces, cut anywhere; in it one JSON-RPC frame or
// nothing.
#include "rpc/http.hpp"
#include "fuzz/fuzz.hpp"

using vnvme::fuzz::require;
namespace rpc = vnvme::rpc;

namespace {

// So small that the limits are met too.
constexpr rpc::ResponseReader::Limits kLimits{.header = 1024, .body = 16u << 10};
constexpr rpc::ScanLimits kScan{.frame_bytes = 8u << 10, .string_bytes = 1024, .depth = 16};

vnvme::Result<std::string> read_frame(std::string_view stream, std::size_t piece) {
  rpc::ResponseReader reader(kLimits);
  for (std::size_t at = 0; at < stream.size() && !reader.done(); at += piece)
    if (auto fed = reader.feed(stream.substr(at, piece)); !fed) return vnvme::fail(fed.error());
  if (!reader.done())
    if (auto whole = reader.end(); !whole) return vnvme::fail(whole.error());
  return rpc::frame_of(reader, kScan);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto stream = vnvme::fuzz::text(data, size);
  auto frame = read_frame(stream, 1);
  if (!frame) {
    bool refused = frame.error().code == vnvme::Errc::not_permitted;
    require(refused == (frame.error().outcome == vnvme::Outcome::not_done),
            "only a refused password is not done");
    return 0;
  }
  require(frame->size() <= kScan.frame_bytes, "a frame is within its limit");
  // Whoever reads it as a stream finds this frame and nothing behind it.
  rpc::FrameScanner scanner(kScan);
  scanner.feed(*frame);
  auto scanned = scanner.next();
  require(scanned && *scanned && **scanned == *frame && scanner.buffered() == 0, "it is one frame");
  return 0;
}
