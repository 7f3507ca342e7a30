// What XAPI may send: an HTTP answer in any pieces, in it JSON-RPC, in that any list of records or events.
#include "fuzz/fuzz.hpp"
#include "xapi/codec.hpp"
#include "xapi/decode.hpp"
#include "xapi/http.hpp"
#include "xapi/mirror.hpp"

using vnvme::fuzz::require;
namespace xapi = vnvme::xapi;

namespace {

// So small that the limits are met too.
constexpr xapi::ResponseReader::Limits kLimits{.header = 1024, .body = 16u << 10};

struct Read {
  bool done = false;
  std::string body;
  friend bool operator==(const Read&, const Read&) = default;
};

Read read_http(std::string_view stream, std::size_t piece) {
  Read out;
  xapi::ResponseReader reader(kLimits);
  for (std::size_t at = 0; at < stream.size(); at += piece)
    if (!reader.feed(stream.substr(at, piece))) return out;
  if (!reader.done() && !reader.end()) return out;
  out.done = true;
  if (auto body = xapi::body_of(reader)) out.body = std::move(*body);
  require(out.body.size() <= kLimits.body, "the body is within its limit");
  return out;
}

void fold(const xapi::EventBatch& batch) {
  xapi::Mirror mirror;
  auto first = mirror.fold(batch);
  require(mirror.fold(batch).size() <= first.size(), "doubles bring no news");
  for (const auto& event : batch.events)
    if (event.operation == xapi::Event::Operation::removed && event.cls == xapi::Class::vm)
      require(!mirror.picture().vms.contains(event.ref), "what was deleted stays so");
  auto again = mirror.replace(batch);
  for (const auto& change : again) require(!change.ref.empty(), "a change has a reference");
}

void decode_everything(std::string_view result) {
  for (std::size_t i = 0; i < xapi::kClasses; ++i) {
    auto cls = static_cast<xapi::Class>(i);
    if (auto record = xapi::decode_record(cls, xapi::Ref("r"), result))
      require(xapi::class_of(*record) == cls, "a record is of the class that was asked for");
    (void)xapi::decode_records(cls, result);
  }
  if (auto batch = xapi::decode_batch(result, 1)) {
    require(!batch->cursor.empty(), "a batch has a token");
    fold(*batch);
  }
  (void)xapi::decode_texts(result);
  (void)xapi::decode_power_state(result);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto stream = vnvme::fuzz::text(data, size);
  const auto small = read_http(stream, 1);
  require(small == read_http(stream, 7), "an answer does not depend on how its bytes arrive");
  for (auto text : {std::string(stream), small.body}) {
    auto answer = xapi::Answer::parse(std::move(text), 7);
    if (!answer) continue;
    if (answer->failure())
      require(!xapi::error_of(*answer->failure(), "m").text.empty(), "a refusal has a text");
    else
      decode_everything(answer->result());
  }
  decode_everything(stream);
  return 0;
}
