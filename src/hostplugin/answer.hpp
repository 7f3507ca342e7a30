// What a host plugin prints: an XML-RPC response, from which XAPI makes the
// caller's string or a XenAPI error.
#pragma once
#include <string>
#include <vector>

namespace vnvme::hostplugin {

struct Answer {
  bool good = false;
  std::string value;                // when good
  std::vector<std::string> failed;  // else: XenAPI error code, parameters
};

Answer success(std::string value);
Answer failure(std::vector<std::string> words);
// Invalid UTF-8 and characters that XML cannot carry are replaced.
std::string response(const Answer& answer);

}  // namespace vnvme::hostplugin
