// From the text of one request to what goes back onto the wire, faults included.
#pragma once
#include <functional>
#include <string_view>

#include "dpusim/faults.hpp"
#include "dpusim/target.hpp"

namespace vnvme::sim {

class Dispatcher {
 public:
  explicit Dispatcher(Target& target) : target_(target) {}
  using Send = std::function<void(Mangled)>;

  // `send` is called once for an answer, and not at all for a notification that went well or a lost answer.
  // False: not JSON; the connection is to be closed without a word.
  bool serve(std::string_view text, bool repeated_member, const Send& send);

 private:
  using Give = std::function<void(std::string answer)>;  // empty: nothing is answered
  void request(const Json& value, bool repeated_member, const Send& send);
  void execute(const Target::Handler& handler, const Json& value, const Json& id, bool notification,
               const Give& give);
  void with_fault(const Fault& fault, const Target::Handler& handler, const Json& value, const Json& id,
                  const Send& send);
  void batch(const Json& list, const Send& send);
  Target& target_;
};

}  // namespace vnvme::sim
