"""Responses to a multiple-choice question as models write them, and near misses that state no option."""

SECONDS = [f"{value} s" for value in range(4, 24, 2)]  # A: 4 s, ..., D: 10 s, ..., J: 22 s

# All of these choose D.
RIGHT = r"""
D
d
(D)
(d).
[D]
{D}
"D"
**D**
D.
D)
D. 10 s
(D) 10 s
**D) 10 s**
D: 10 s
D - 10 s
D 10 s
d) 10 s
[D] 10 s
**D**: 10 s
`D. 10 s`
10 s (D)
\boxed{D}
\boxed{d}
\boxed {D}
\fbox{D}
\fbox {\text{D}}
\boxed{\mathrm{D}}
\boxed{\text{D}}
\boxed{\textbf{(D)}}
\boxed{\mathbf D}
\boxed{{\bf D}}
\boxed{\boxed{D}}
$\boxed{D}$
\[\boxed{\text{(D)}}\]
\boxed{D. 10 s}
\boxed{D) 10\text{ s}}
\boxed{(D)\ 10\ \text{s}}
\boxed{\text{D: } 10\,\text{s}}
\boxed{\text{Option D}}
\boxed{\text{Answer: D}}
\boxed{10 s}
\boxed{10\text{ s}}
\boxed{10\,\mathrm{s}}
\boxed{10~\text{s}}
<answer>D</answer>
<answer>(D) 10 s</answer>
<answer> \boxed{D} </answer>
<ANSWER>d</ANSWER>
<answer>The answer is D.</answer>
<final_answer>D</final_answer>
Answer: D
answer: (d)
ANSWER: D
ANSWER - D
Answer - D
Answer – D
Answer = D
Answer → D
Answer:D
Answer : D
Answer (D)
Answer: **D**
**Answer:** D
**Answer**: D
**Answer: D**
**Answer: D. 10 s**
Answer: D. 10 s
Answer: (D) 10 s
Answer: D, since the speed is constant.
Answer: option D
Answer: Option (D).
Ans: D
Ans. D
Final answer: D
Final Answer: \boxed{D}
**Final Answer:** **(D)**
### Final answer\n\n**D**
Correct answer: D.
Correct option: D
The correct answer is d.
The correct answer is D
The correct answer is (D) 10 s.
The correct answer is: D
The correct answer is:\n\n**D**
The correct option is (D).
The correct choice is D.
The right answer is D.
The best answer is D.
The best choice is therefore (D).
The answer is D.
The answer is (D).
The answer is [D].
The answer is "D".
The answer is D: 10 s.
The answer is option D.
The answer is the option (D).
The answer is choice D.
The answer is letter D.
The answer is therefore D.
The answer is clearly D.
The answer is thus (D).
The answer is, therefore, D.
The answer must be (D).
The answer must be D
The answer should be D.
The answer would be D.
The answer has to be D.
The answer to the question is D.
The answer to this problem is option (D).
The correct answer among the options is D.
The answer, then, is D.
The answer is `D`.
The answer is *D*.
The answer is __D__.
The answer is _D_.
The answer is ***D***
The answer is <b>D</b>.
The answer is $D$.
The answer is \(D\).
The answer is \textbf{D}.
The answer is $\mathbf{D}$.
The answer is \boxed{D}.
the answer is \boxed{10 s}
The answer is \boxed{\text{D}}, because a is constant.
The answer is D because I computed the integral.
The answer is D, because I computed it.
The answer is D, not B.
The answer is D (not B).
The answer is D rather than B.
The answer is not B but D.
The answer is D since A is too small.
The answer is D as shown above.
The answer is I believe (D).
The answer is, I think, D.
I believe the answer is D.
I think the answer is (D).
So the final answer is **(D)**.
So, the final answer is D.
Thus, the answer is D.
Hence the answer is (D).
My answer is D.
My final answer is D.
Our answer: D
It follows that the answer is D.
Therefore, option (D) is correct.
Therefore, option D is correct.
Option D is the correct answer.
Option D is the right choice.
Option D is correct because the speed is constant.
Option (D) must be correct.
D is correct.
(D) is correct.
(D) is the correct answer.
D is the answer.
D is the right answer.
D is the best choice.
**D** is the correct option.
A is wrong, B is wrong, and D is correct.
Only D is correct.
I choose D.
I choose option D.
I would choose (D).
I'll go with D.
I will go with option D.
I select D.
I pick D.
We choose D.
So we select option (D).
We should pick D.
Choose D.
This corresponds to option D.
The time is 10 s, which corresponds to option (D).
t = 10 s, which matches option D.
t = 10 s, which is option D.
t = 10 s. That is option (D).
The time is 10 s, so the answer is D.
It is D, not B.
It's D.
Therefore, (D).
So D.
Therefore, the answer is 10 s (D).
The answer is 10 s, (D).
The correct answer is 10 s (option D).
Between B and D, the answer is D.
Both A and B are too small, so the answer is D.
If t = 2 v, the answer is D.
Since B is not correct, the answer is D.
Since v does not change, the answer is D.
Options A and B can be excluded. The answer is D.
A: no. B: no. C: no. The answer is D.
Answer: A. Wait, no.\nAnswer: D
The answer is B? No, I misread. The answer is (D).
The answer is B. Wait, that is wrong. The answer is D.
Answer: B\n\nActually, I made a mistake. Answer: D
\boxed{B} Wait, I misread the question. \boxed{D}
\boxed{B}\n\nHmm, let me recheck. The answer is (D).
The answer is B... no, actually the answer is D.
The answer is (B). Correction: the answer is (D).
At first the answer seems to be B, but the answer is D.
Initially I thought the answer is B. However, the answer is D.
Final answer: B. Sorry, final answer: D.
I choose B. On second thought, I choose D.
For the first part the answer is B. Therefore the final answer is D.
The answer is D. Therefore, the answer is D.
\boxed{D}\n\nThe answer is D.
Time \boxed{10}.\nThe answer is (D).
We get \boxed{10\text{ s}}. Answer: D
\boxed{t = 10}\n\nThe answer is D.
\boxed{t = 10}\n\nD
\boxed{8}\n\nThe answer is (D).
t = \boxed{10}, so \boxed{D}
The answer is (D), as $t = \boxed{10}$.
First \boxed{v = 2}, then \boxed{t = 10}.\nSo the answer is (D).
So\n\n(D)
So\n\n**D.**
The time is 10 s.\n\nD. 10 s
D\n\nThe time is 10 s.
D. 10 s\n\nThe speed is constant.
<think>\boxed{B}</think>The answer is D.
<think>The answer is B.</think>\n\nD
{"answer": "D"}
{"reasoning": "constant speed", "answer": "D"}
The answer is （D）。
答案是D
答案：D
答案是 (D)。
选D
故选：D。
The answer is D!
the answer is: (d)
Answer: d
answer is D
Answer is (D)
The final answer is: $\boxed{D}$.
Therefore, the correct answer is **D) 10 s**.
Therefore, the correct answer is **D. 10 s**.
So, the correct option is **D**: 10 s.
Thus the correct choice is (D), namely 10 s.
Hence, option D is the right answer.
Hence, D.
Hence (D) is correct.
Thus, (D) is the correct answer.
I'd choose D.
I'd go with (D).
My choice is D.
My pick is D.
I would answer D.
I would say D.
I say D.
The correct letter is D.
The letter is D.
The correct answer letter is D.
The correct answer: D
Correct: D
**Correct Answer: D**
✅ Answer: D
Answer:\nD
Answer\n\nD
The answer is\nD
The answer is\n\n(D)
**The answer is (D)**
**The answer is (D).**
Based on this, D is the most appropriate answer.
Based on the above, the most appropriate option is D.
D is the most likely answer.
Option D is the most accurate.
The best description is given by option D.
The statement in option D is correct.
So the choice should be D.
We conclude that the answer is (D).
We conclude D.
Let's go with D.
Selected option: D
Selected answer: D
Choice: D
Choice D
Option D
Option (D).
Response: D
My response: D
Conclusion: D
Conclusion: The answer is D.
Final: D
Final choice: D
Final answer is D
FINAL ANSWER: D
FINAL ANSWER IS D
The ANSWER IS (D)
The Answer Is D
The answer is D).
The answer is (D
The answer is D }
Answer: [[D]]
[[D]]
((D))
"The answer is D."
'D'
The answer is 'D'.
The answer is “D”.
The answer is ‘D’.
D is the correct one.
D!
D;
Therefore, the answer is (D) 10 s, because v is constant.
The answer is (D) because A is for other cases.
The answer is D; A and B are too small.
The answer is D. A and B are too small.
The answer is D. B or C would be too small.
The answer is D, and B is wrong.
The answer is D, as B is wrong.
The answer is D, while A is wrong.
The answer is D, so B is wrong.
The answer is D, although B is tempting.
The answer is D (10 s).
The answer is D, 10 s.
The answer is D — 10 s.
The answer is D - 10 s
The answer is D = 10 s.
The answer is D: the time is 10 s.
The answer is D - the time is 10 s.
The answer is D, which is 10 s.
The answer is D as the speed is constant.
The answer is D in this case.
The answer is D for this case.
The answer is D with 10 s.
The answer is D. I checked it.
The answer is D. Let me know if you need more.
The answer is D. This is because A is wrong.
Answer: D\n\nExplanation: A is wrong because the speed is constant. B is wrong too.
Answer: D\nA is incorrect. B is incorrect.
D is correct. A is incorrect.
The correct answer is D. Option A is wrong because it is too small.
The correct answer is D. Here's why:\nA. 4 s is too small.\nB. 6 s is too small.
Options A, B and C are wrong. Therefore the answer is D.
Option A is incorrect. Option B is incorrect. Option D is correct.
A. wrong\nB. wrong\nC. wrong\nD. right\n\nThe answer is (D).
\boxed{\text{D. 10 s}}
\boxed{D\ (10\ \text{s})}
\boxed{D: 10 s}
\boxed{D - 10 s}
\boxed{D.\ 10\text{ s}}
\boxed{\text{D) } 10\text{ s}}
\boxed{\textbf{(D) }10\text{ s}}
\boxed{\textbf{(D)}\ 10\ \text{s}}
\boxed{\text{(D) 10 s}}
\boxed{D.}
\boxed{(d)}
\boxed{\text{d}}
\boxed{\mathbf{D}}
\boxed{\mathsf{D}}
\boxed{\rm D}
\boxed{\textit{D}}
\boxed{\ D\ }
\boxed{\left(D\right)}
\boxed{\underline{D}}
\boxed{10s}
\boxed{`D`}
\boxed{**D**}
\boxed{\text{The answer is D}}
\boxed{\text{Option (D)}}
\boxed{\text{choice D}}
\boxed{"D"}
\boxed{\color{red}{D}}
\boxed{\displaystyle D}
\boxed{\Large D}
\boxed{\text{D}}.\n
\boxed{D}\boxed{D}
\boxed{10 s}, so D.
$\boxed{10\ \text{s}}$, i.e. option D.
The value is \boxed{10 s}, which corresponds to option D.
Answer: C? No. Answer: D.
I first thought C, but the answer is D.
The answer is C, no wait, D.
The answer is C. No wait, it's D.
The answer is C. Wait, actually it is D.
Answer: C\nCorrection: D
Answer: C\nCorrected answer: D
Answer: C -> revised answer: D
The answer is C. Let me double-check. ... Therefore the answer is D.
The answer is D. Let me double-check: 10 = 5*2. Yes, the answer is D.
The answer is D. Let me double-check: 5*2 = 10. Confirmed.
Not C. The answer is D.
It is not C; the answer is D.
The answer is not C. The answer is D.
The answer is not C, it is D.
C is wrong; the answer is D.
After careful analysis, the best answer would be D.
Among the given options, D is the correct answer.
Among the choices, the correct one is D.
The correct one is D.
The correct one is (D).
So the correct answer would be option D, 10 s.
So our final answer is: D
Thus the final choice: (D)
Hence, the correct answer is option (D): 10 s.
The answer, therefore, is (D).
The answer, based on the above, is D.
The final answer is therefore $\boxed{\text{(D)}}$.
**The correct answer is: D. 10 s**
**Answer:** (D) 10 s
**Final Answer**: D
**Final Answer**\n\n$\boxed{D}$
# Answer\nD
## Answer: D
> Answer: D
- Answer: D
Answer: D ✅
Answer: D\n\n---
Answer: **(D)** because speed is constant
Answer: "D"
Answer: 'D'
Answer: [D]
Answer: <D>
Answer: {D}
Answer: $D$
Answer: \(D\)
Answer: \text{D}
Answer: D)
Answer is: D
answer=D
Answer:- D
Answer :- (D)
Correct Option: (D)
Correct choice: d
The correct option is d)
the answer is d
the answer is d.
the answer is (d)
the answer is option d
i choose d
I think it is D.
I think it's (D).
I believe it is D.
I believe D is correct.
I believe that D is the correct answer.
I am confident the answer is D.
I'm fairly sure that the answer is D.
It seems that the answer is D.
It must be D.
It has to be (D).
This is option D.
This is (D).
That's D.
That is choice D.
This matches option (D).
This gives 10 s, which is option D.
This gives t = 10 s, i.e., option D.
This is closest to option D.
which is choice (D).
Therefore, it's D.
Therefore it is option D.
Therefore the correct option is D
∴ D
=> D
→ D
So, option D.
Thus, D.
Thus D is the answer.
Hence option D.
Hence the correct option is (D) i.e. 10 s.
Conclusion: option D is correct.
Option D: 10 s
Option D. 10 s
Option (D) 10 s
Choice (D): 10 s
Choice D is correct.
Only option D fits. The answer is D.
Only option D is right.
We can eliminate A, B, C. So the answer is D.
By elimination, D.
By elimination, the answer is D.
By process of elimination, D is correct.
That leaves D.
This leaves option D.
This leaves us with D as the answer.
leaving only D as the correct answer
Thus, we select D.
We therefore choose (D).
I'd pick D.
I would select (D).
I will choose option (D).
I'm going with D.
My answer: D
My answer would be D.
The answer I choose is D.
The answer I get is D.
The answer we get is (D).
The answer that fits is D.
The answer must therefore be D.
The answer can only be D.
The answer will be D.
The answer ought to be D.
The answer = D
The answer: D
The answer - D
The answer (D)
the answer D.
Selected: D
I selected D.
I answer: D
\text{Answer: D}
\boxed{D}.
\boxed{D} is the answer.
\boxed{D} \quad \text{(10 s)}
\boxed{\text{D}} \text{ is correct}
$$\boxed{D}$$
\[ \boxed{\textbf{D}} \]
\boxed{\text{D. }10\text{ s}}
\boxed{\mathrm{D}\ 10\ \mathrm{s}}
\boxed{\text{(D)}\; 10\,\text{s}}
\boxed{D \text{ (10 s)}}
\boxed{\textrm{D}}
\boxed{\operatorname{D}}
\boxed{D}$.
\framebox{D}
The answer is A. No. The answer is D.
The answer is A.\n\nWait.\n\nThe answer is D.
Answer: A\n\nHold on, that contradicts. Answer: D
Answer: A (initial guess). Final answer: D
I initially chose A, but the answer is D.
Not A, but D. The answer is D.
The answer is A? Let's check: no. The answer is D.
Is the answer A? No. The answer is D.
Is it A? No, it is D.
First guess: A. Final answer: D
Answer: A\nAfter rechecking: Answer: D
\boxed{A}\n\nLet me re-check. ... So the correct answer is \boxed{D}
"""

# None of these chooses an option.
NONE = r"""

A perfect answer cannot be found.
I do not know.
I am not sure about this one.
Answer
Answer:
The answer
The answer is
The answer is not A.
The answer is not (D).
The answer isn't D.
The answer is not D
The answer cannot be D.
The answer can't be D.
The answer is never D.
not A
Not D.
The answer is A or B.
The answer is (B) or (D).
The answer is B or D.
The answer is either B or D.
The answer is B and D.
The answer is both B and D.
The answer is B/D.
The answer is B / D.
The answer is B & D.
The answer is (B), (D).
The answer is B, C, and D.
The answer is B (or D).
The answer is B, or maybe D.
The answer is B or possibly D.
The answer is B, but it could also be D.
Answer: B and D
Answer: B, D
Answer: B; D
Answer: (B) and (D)
Answer: BD
Answer: B D
Answer: B or D
ANSWER: A/B
answer: b or d
\boxed{B, D}
\boxed{B and D}
\boxed{B \text{ or } D}
\boxed{\text{A or B}}
\boxed{BD}
\boxed{AB}
<answer>B and D</answer>
<answer>B or D
B and D
B or D
B, D
B D
(B) or (D)
Both B and D are correct.
B or D is correct.
(B) and (D) is correct.
Neither B nor D is correct.
D is not correct.
D is incorrect.
Option D is not the correct answer.
Option D is wrong.
I would not choose D.
I don't think the answer is D.
I do not believe the answer is D.
It is not true that the answer is D.
If the answer is D, the time is 10 s.
Suppose the answer is D.
Assume that the answer is (D).
Is the answer D?
Is the answer (D)?
The answer is D?
Could the answer be D?
The answer could be D.
The answer might be D.
I cannot say whether the answer is D.
The answer is A perfect square.
The answer is a function of time.
The answer is a constant.
Answer: A perfect answer cannot be found.
Answer: a constant
Answer: I am not sure.
Answer: I don't know
The answer is I.e. unknown
The answer is I cannot tell.
The answer is unclear.
The answer is Both
The answer is Dependent on the speed.
The answer is Definitely there.
The answer is D-day.
The answer is D'Alembert's principle.
The answer is C-14 dating.
The answer is B cells.
The answer is C major.
The answer is (X).
The answer is K.
Answer: Z
\boxed{K}
\boxed{Q. 10 s}
\boxed{}
\boxed{t = 10}
\boxed{x}
\boxed{D
\boxed{\text{D}
The answer is \boxed{D
<think>The answer is D.
<think>\boxed{D}</think>
<think>The answer is D.</think> I am not sure.
\boxed{D. 12 s}
\boxed{D) 8 s}
\boxed{(D) 4 s}
D. 12 s
(D) 8 s
Answer: D. 12 s
The answer is (D) 12 s.
The answer is D, 12 s.
\boxed{D. 11 s}
The answer is B. The answer is D.
The answer is (B) or the answer is (D)
\boxed{B} \boxed{D}
\boxed{B}\nAnswer: D
The answer is D. Wait, that is wrong.
Answer: D. Scratch that.
A. 4 s\nB. 6 s\nC. 8 s\nD. 10 s
The options are:\n(A) 4 s\n(B) 6 s\n(C) 8 s\n(D) 10 s
E. coli grows.
A b c d e
Vitamin D
In case D the speed is constant.
Statement D follows from B.
Let D be the distance.
D = 10 s
The answer is neither B nor D.
The answer is not B or D.
The answer is not B, C or D.
The answer isn't (D).
The answer is definitely not D.
The answer is probably not D.
The answer is hardly D.
The answer is anything but D.
The answer is all except D.
The answer is none of A, B, C, D.
The answer is none of the above.
The answer is one of B and D.
The answer is between B and D.
The answer lies between B and D.
The answer is somewhere between B and D.
The answer is B, C or D.
Answer: (B)/(D)
Answer: B+D
Answer: B|D
Answer: B \n or D
Answer: A, B, C, D
Answer: A-D
Answer: all of A, B, C
Answer: B. Or D.
Answer: B and/or D
Answer: not B
Answer: not sure
Answer: unknown
Answer: N/A
Answer: none
Answer: Don't know
Answer: Apples
Answer: Dogs
Answer: A dog
Answer: A dog and a cat
Answer: I believe so
Answer: I think it is long.
Answer: I would need more data.
Answer: In the end, it takes long.
The answer is I think.
I believe so.
I think I am done.
Options: A, B, C, D
option
Option
Answer choices: A) 4 s B) 6 s
I would choose between B and D.
I choose B or D.
I choose both B and D.
Choose one of A, B, C, D.
Choose A, B, C or D.
Choose a letter.
Select a unit.
Pick a number.
It is a constant.
It is A constant.
It is B or D.
It is not D.
It's not D.
This is not option D.
This does not correspond to option D.
The time does not match option D.
So A and B are too small.
So A is too small.
So D is too small.
So I am not sure.
Therefore A is wrong.
Therefore I cannot say.
D is too small.
D could be correct.
D might be correct.
D may be the answer.
D is almost correct.
D is partially correct.
D is not the answer.
D isn't correct.
D is never correct.
D cannot be correct.
Is D correct?
Is option D correct?
Option D is correct?
If D is correct then v = 2.
Option D would be correct if v = 3.
Option D would have been correct for v = 3.
D would be the answer if v = 3.
I am not convinced that D is correct.
I doubt that D is correct.
It is unclear whether D is correct.
It is wrong to say that D is correct.
A student says the answer is D.
Some say the answer is D, others B.
The wrong answer is D.
The answer is E = mc^2.
The answer is F = ma.
The answer is x = 3.
The answer is 10.
The answer is 10 D.
The answer is D 12 s.
The answer is C (10 s).
The answer is C: 10 s.
Answer: C) 10 s
C. 10 s
\boxed{C. 10 s}
\boxed{C}\n\nThe answer is D.
The answer is C. \boxed{D}
\boxed{C (10 s)}
\boxed{10 s (C)}
\boxed{10 s or 12 s}
\boxed{C,D}
\boxed{C/D}
\boxed{C \lor D}
\boxed{\text{not D}}
\boxed{\neg D}
\boxed{2D}
\boxed{D^2}
\boxed{D_1}
\boxed{D+1}
\boxed{\Delta}
\boxed{\mathcal{D}
\boxed{D} or \boxed{C}
\boxed{C} and \boxed{D}
\boxed{C}, \boxed{D}
<answer></answer>
<answer>D
<answer>C</answer><answer>D</answer>
<answer>C, D</answer>
<think>\boxed{D
The correct answer is not listed.
The correct answer is none of the above.
The correct answer is unclear to me.
The correct answer isn't among the options.
I choose not to answer.
I select none.
I pick nothing.
We choose a coordinate system.
We choose A and B as constants.
Choose D such that it is positive.
Let A be the area.
Point A is the best reference point.
Section D is long.
Answer in a word.
Answer the question.
Answer choices are A, B, C and D.
Answer: see above
Answer: see option A and B
The answer depends on A.
The answer depends on whether A or B is correct.
The answer requires D to be known.
The answer is given in section B and D.
The answer is based on A.
The answer is about D.
The answer is in D.
The answer is at least D.
The answer is more than D.
The answer is A + B.
The answer is A times B.
The answer is A*B.
The answer is A^2.
The answer is 2A.
The answer is AB.
The answer is a b.
The answer is A/B.
The answer is A-B.
The answer is A - B.
The answer is f(D).
The answer is D(x).
The answer is D_0.
The answer is I/O.
It is I who asks.
I is the current.
A is the area.
So A is the area.
So I think.
Thus I believe so.
B is a constant.
D is a constant.
D is the distance.
D is the right side.
D is the best-known example.
This is a D.
This corresponds to D flat.
which is B flat
That is a lot.
That is I think wrong.
Therefore, a new approach is needed.
Therefore, I cannot answer.
Hence I stop.
Thus, A + B = C.
\boxed{A+B}
\boxed{A=5}
\boxed{D=10}
\boxed{\frac{A}{B}}
\boxed{A \cup B}
\boxed{A, B, C, D}
\boxed{A-D}
\boxed{\text{None}}
\boxed{\text{neither B nor D}}
\boxed{?}
\boxed{\text{I don't know}}
\boxed{\text{A constant}}
The answer is A. The answer is B. The answer is C. The answer is D.
A B C D
ABCD
A, B, C or D
D?
(D)?
Maybe D?
D or C?
"""


def lines(text: str) -> list[str]:
    """One response a line; `\\n` is a line break, and one line is blank on purpose."""
    return [line.replace(r"\n", "\n") for line in text.removeprefix("\n").removesuffix("\n").split("\n")]
