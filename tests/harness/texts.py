"""Texts for what a prompt may come to in tokens: languages, code, data, and noise. The same bytes in every run.

The languages are article 1 of the Universal Declaration of Human Rights, which is in the public domain.
"""

import base64
import json
import random
import string
import uuid
from collections.abc import Callable, Iterator, Sequence

LANGUAGES = {
    "English": "All human beings are born free and equal in dignity and rights. They are endowed with reason and "
    "conscience and should act towards one another in a spirit of brotherhood.",
    "German": "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Sie sind mit Vernunft und Gewissen "
    "begabt und sollen einander im Geist der Brüderlichkeit begegnen.",
    "Finnish": "Kaikki ihmiset syntyvät vapaina ja tasavertaisina arvoltaan ja oikeuksiltaan. Heille on annettu järki "
    "ja omatunto, ja heidän on toimittava toisiaan kohtaan veljeyden hengessä.",
    "Turkish": "Bütün insanlar hür, haysiyet ve haklar bakımından eşit doğarlar. Akıl ve vicdana sahiptirler ve "
    "birbirlerine karşı kardeşlik zihniyeti ile hareket etmelidirler.",
    "Vietnamese": "Tất cả mọi người sinh ra đều được tự do và bình đẳng về nhân phẩm và quyền. Mọi con người đều được "
    "tạo hóa ban cho lý trí và lương tâm và cần phải đối xử với nhau trong tình bằng hữu.",
    "Russian": "Все люди рождаются свободными и равными в своем достоинстве и правах. Они наделены разумом и совестью "
    "и должны поступать в отношении друг друга в духе братства.",
    "Greek": "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα. Είναι προικισμένοι "
    "με λογική και συνείδηση, και οφείλουν να συμπεριφέρονται μεταξύ τους με πνεύμα αδελφοσύνης.",
    "Hebrew": "כל בני אדם נולדו בני חורין ושווים בערכם ובזכויותיהם. כולם חוננו בתבונה ובמצפון, לפיכך חובה עליהם "
    "לנהוג איש ברעהו ברוח של אחוה.",
    "Arabic": "يولد جميع الناس أحرارًا متساوين في الكرامة والحقوق. وقد وهبوا عقلاً وضميرًا وعليهم أن يعامل بعضهم "
    "بعضًا بروح الإخاء.",
    "Hindi": "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता प्राप्त है। उन्हें बुद्धि और अन्तरात्मा की "
    "देन प्राप्त है और परस्पर उन्हें भाईचारे के भाव से बर्ताव करना चाहिए।",
    "Tamil": "மனிதப் பிறிவியினர் சகலரும் சுதந்திரமாகவே பிறக்கின்றனர்; அவர்கள் மதிப்பிலும், உரிமைகளிலும் சமமானவர்கள்.",
    "Thai": "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ ต่างมีเหตุผลและมโนธรรม และควรปฏิบัติต่อกันด้วยเจตนารมณ์แห่งภราดรภาพ",
    "Georgian": "ყველა ადამიანი იბადება თავისუფალი და თანასწორი თავისი ღირსებითა და უფლებებით. მათ მინიჭებული აქვთ "
    "გონება და სინდისი და ერთმანეთის მიმართ უნდა იქცეოდნენ ძმობის სულისკვეთებით.",
    "Amharic": "የሰው ልጅ ሁሉ ሲወለድ ነጻና በክብርና በመብትም እኩልነት ያለው ነው። "
    "የተፈጥሮ ማስተዋልና ሕሊና ስላለው አንዱ ሌላውን በወንድማማችነት መንፈስ መመልከት ይገባዋል።",
    "Chinese": "人人生而自由,在尊严和权利上一律平等。他们赋有理性和良心,并应以兄弟关系的精神互相对待。",
    "Japanese": "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。"
    "人間は、理性と良心とを授けられており、互いに同胞の精神をもって行動しなければならない。",
    "Korean": "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다. 인간은 천부적으로 이성과 양심을 "
    "부여받았으며 서로 형제애의 정신으로 행동하여야 한다.",
}

WORDS = ("get", "Set", "User", "Name", "HTTP", "Request", "Xml", "Foo", "bar", "ID")
CODE = '''
@dataclass(frozen=True)
class Ramp:
    """How a recovered model takes its share back."""

    seconds: float = 60.0
    least: float = 0.05

    def share(self, now: float) -> float:
        """Between `least` and 1; raises ValueError for a clock that went back."""
        if now < 0:
            raise ValueError(f"{now=} is before the recovery")
        return max(self.least, min(1.0, now / self.seconds))


for (let i = 0; i < rows.length; i++) {
\tconst {id, name: label = `#${i}`} = rows[i];
\tif (!seen.has(id)) { seen.add(id); out.push({...defaults, id, label}); }
}
SELECT m.name, COUNT(*) AS n FROM models m LEFT JOIN attempts a ON a.model_id = m.id WHERE a.ms >= 250 GROUP BY 1;
'''


class Chance:
    """Texts drawn from a seed of their own, so that one more of them changes no other."""

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)

    def bytes(self, count: int) -> bytes:
        """Random bytes."""
        return self._random.randbytes(count)

    def text(self, alphabet: Sequence[str], count: int, between: str = "") -> str:
        """Drawn from an alphabet."""
        return between.join(self._random.choice(alphabet) for _ in range(count))

    def lines(self, make: Callable[[random.Random], str], count: int) -> str:
        """Lines, each made anew."""
        return "\n".join(make(self._random) for _ in range(count))


def code_points(first: int, last: int) -> Sequence[str]:
    """Characters by number, the last one included."""
    return [chr(code) for code in range(first, last + 1)]


def _record(chance: random.Random) -> dict[str, object]:
    return {"id": chance.randrange(10**6), "name": "Item", "price": chance.random(), "tags": ["a", "b"], "ok": True}


def _data() -> Iterator[tuple[str, str]]:
    chance = Chance("data")
    yield "code", CODE
    yield "JSON", chance.lines(lambda r: json.dumps(_record(r)), 100)
    yield "indented JSON", chance.lines(lambda r: json.dumps(_record(r), indent=2), 100)
    yield "CSV", chance.lines(lambda r: ",".join(str(r.randrange(1000)) for _ in range(10)), 200)
    yield "numbers", chance.lines(lambda r: " ".join(str(r.random()) for _ in range(10)), 50)
    yield (
        "a log",
        chance.lines(lambda r: f"18:{r.randrange(60)} INFO id={r.randrange(9**9):x} took=3ms", 150),
    )
    yield "HTML", '<div class="a-b"><span id="x1">Hello</span><br/></div>' * 60
    yield "LaTeX", r"\sum_{i=1}^{n} x_i^2 = \frac{1}{2}\left(\alpha+\beta\right) " * 60
    yield "names", chance.text(WORDS, 1000)
    yield "shouting", LANGUAGES["English"].upper()


def _noise() -> Iterator[tuple[str, str]]:
    chance = Chance("noise")
    yield "base64", base64.b64encode(chance.bytes(6000)).decode()
    yield "hexadecimal", chance.bytes(4000).hex()
    yield "HEXADECIMAL", chance.bytes(4000).hex().upper()
    yield "UUIDs", chance.lines(lambda r: str(uuid.UUID(bytes=r.randbytes(16))), 200)
    yield "digits", chance.text(string.digits, 5000)
    yield "small letters", chance.text(string.ascii_lowercase, 5000)
    yield "capitals", chance.text(string.ascii_uppercase, 5000)
    yield "letters and digits", chance.text(string.ascii_letters + string.digits, 5000)
    yield "single letters", chance.text(string.ascii_letters, 2000, " ")
    yield "invented words", chance.lines(lambda r: "".join(r.choices(string.ascii_lowercase, k=r.randint(1, 8))), 800)
    yield "all of ASCII", chance.text(string.printable[:95], 5000)
    yield "punctuation", chance.text(string.punctuation, 5000)
    yield "spaces", " " * 3000
    yield "empty lines", "\n" * 3000
    yield "white space", chance.text(" \n\t", 3000)
    yield "Latin with marks", chance.text(code_points(0xC0, 0xFF), 2000)
    yield "Cyrillic letters", chance.text(code_points(0x430, 0x44F), 2000)
    yield "emoji", chance.text(code_points(0x1F300, 0x1F63F), 1000)
    yield "cuneiform", chance.text(code_points(0x12000, 0x12398), 1000)


TEXTS: dict[str, str] = {
    **{name: " ".join([text] * 20) for name, text in LANGUAGES.items()},
    **dict(_data()),
    **dict(_noise()),
}
"""All of them, by name."""
