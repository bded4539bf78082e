// The ends of lines in a log as clients want them: progress bars redraw their line with "\r", and
// clients that look for progress split the log at "\n".

#pragma once

#include <string>
#include <string_view>

namespace mimeo::worker::cog {

// Turns "\r\n" and "\r" into "\n". A "\r" at the start of a line ends nothing and vanishes: bars
// begin with it. What comes out does not depend on where the text was cut: nothing is held back,
// and the "\n" of a "\r\n" cut in two is swallowed when it comes.
class LineEnds {
 public:
  // `text` follows what came before.
  [[nodiscard]] std::string append(std::string_view text);

 private:
  bool is_at_start_ = true;    // Of a line.
  bool is_half_read_ = false;  // A "\r" ended the line; a "\n" now belongs to it.
};

}  // namespace mimeo::worker::cog
