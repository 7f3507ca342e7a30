// Records and events out of JSON text. Pure. Only the members that are used are
// looked at; the others are skipped as text: a VM has a hundred, and OCaml
// writes floats such as Infinity that are no JSON.
#pragma once
#include <string_view>

#include "vnvme/xapi.hpp"

namespace vnvme::xapi {

// Errc::corrupt: a member that matters is missing or of a wrong type; the text names it.
Result<Record> decode_record(Class cls, Ref ref, std::string_view text);
// A map from refs to records, as get_all_records_where answers.
Result<std::vector<Record>> decode_records(Class cls, std::string_view text);
// The answer of event.from. Events of other classes are dropped; a record that cannot be read stays as an
// event that says so. `session` goes into the cursor. In steps, because the whole database of a large pool
// takes most of a second, and the daemon has one thread.
class BatchDecoder {
 public:
  // The text outlives the decoder.
  static Result<BatchDecoder> open(std::string_view text, std::uint64_t session);
  [[nodiscard]] bool done() const { return next_ == events_.size(); }
  // At most so many events more.
  Result<void> step(std::size_t events);
  EventBatch take() { return std::move(batch_); }

 private:
  std::vector<std::string_view> events_;
  std::size_t next_ = 0;
  EventBatch batch_;
};
Result<EventBatch> decode_batch(std::string_view text, std::uint64_t session);

Result<std::string> decode_text(std::string_view text);
Result<Ref> decode_ref(std::string_view text);
Result<std::vector<std::string>> decode_texts(std::string_view text);
Result<PowerState> decode_power_state(std::string_view text);

// "vm", "VM" -> vm; nothing for a class that is not ours.
std::optional<Class> class_named(std::string_view name);

}  // namespace vnvme::xapi
