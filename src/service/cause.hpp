// Why something failed, so that people are told once: the text of a step that failed says how long it took,
// and differs each time.
#pragma once
#include <string>

#include "vnvme/result.hpp"

namespace vnvme::service {

[[nodiscard]] inline std::string cause_of(const Error& error) {
  return error.step.empty() ? error.text : std::string(to_string(error.code)) + " in " + error.step;
}

}  // namespace vnvme::service
