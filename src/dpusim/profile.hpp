// Where the recorded targets differ: two versions of SPDK, and the card of Kalray, which is an old SPDK with
// methods and answers of its own.
#pragma once
#include <cstddef>
#include <string>

namespace vnvme::sim {

struct Profile {
  bool v26 = true;                    // v26.05, else v23.01
  std::size_t max_request = 262'143;  // bytes; one more resets the connection
  std::size_t max_values = 8192;      // JSON values in one request; more closes the connection
  std::size_t max_depth = 64;
  bool kalray = false;  // v26 is false then

  static Profile newest() { return {}; }
  static Profile oldest() { return {false, 32 * 1024 - 1, 1024, 64}; }
  static Profile k200() { return {false, 32 * 1024 - 1, 1024, 64, true}; }
  [[nodiscard]] const char* name() const { return kalray ? "kalray" : v26 ? "v26.05" : "v23.01"; }
};

}  // namespace vnvme::sim
