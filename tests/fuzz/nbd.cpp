// What an NBD server may send, read by the client that dom0's fake devices use.
#include "host/nbd_wire.hpp"

#include "fuzz/fuzz.hpp"

using vnvme::fuzz::require;
namespace nbd = vnvme::host::nbd;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto text = vnvme::fuzz::text(data, size);
  if (auto flags = nbd::parse_greeting(text.substr(0, nbd::kGreetingSize)))
    require((*flags & nbd::kHandshakeFixed) != 0, "only fixed newstyle is accepted");
  if (size >= nbd::kOptionReplySize) {
    const auto reply = nbd::parse_option_reply(text.substr(0, nbd::kOptionReplySize), nbd::kOptGo);
    if (reply) {
      require(reply->length <= nbd::kMaxOptionData, "an option's data is bounded");
      (void)nbd::parse_info(text.substr(nbd::kOptionReplySize).substr(0, reply->length));
    }
  }
  (void)nbd::parse_info(text);
  if (size >= nbd::kExportReplySize) (void)nbd::parse_export_reply(text.substr(0, nbd::kExportReplySize));
  (void)nbd::parse_reply(text.substr(0, nbd::kReplySize), 7);
  return 0;
}
